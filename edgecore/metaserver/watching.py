"""What a watch asks for. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.targets import Query

LONGEST_S: Final = 3600.0
SHORTEST_DEFAULT_S: Final = 1800.0
"""A watch that names no time ends after a random one between these, as Kubernetes has it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch.

    Attributes:
        since: The revision it begins after; 0 for the present one.
        initial: Whether it begins with all objects there are.
        marks_initial: Whether a bookmark ends these.
        bookmarks: Whether bookmarks may come.
        timeout_s: When it ends.
    """

    since: int
    initial: bool
    marks_initial: bool
    bookmarks: bool
    timeout_s: float


def watch_of(query: Query, rng: Random) -> Watch:
    """Read a watch's parameters.

    Raises:
        Failure: They make no sense together.
    """
    since = query.number("resourceVersion")
    bookmarks = query.flag("allowWatchBookmarks")
    sends = query.text("sendInitialEvents")
    initial = query.flag("sendInitialEvents") if sends else since == 0
    if sends and query.text("resourceVersionMatch") != "NotOlderThan":
        raise Failure("Invalid", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if sends and initial and not bookmarks:
        raise Failure("Invalid", "sendInitialEvents requires setting allowWatchBookmarks to true")
    asked_s = query.number("timeoutSeconds")
    timeout_s = min(asked_s, LONGEST_S) if asked_s else rng.uniform(SHORTEST_DEFAULT_S, LONGEST_S)
    return Watch(since, initial, bool(sends) and initial, bookmarks, timeout_s)
