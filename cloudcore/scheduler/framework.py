"""The framework: what a plugin is, and the registry of those there are. Sans-IO.

A plugin looks at one pod shape and many nodes at once. ``rows`` says which: a slice of all, an index array, or a
single row number, for which NumPy gives scalars; expressions written for arrays serve all three. A plugin whose
answer depends on what is used of a node is ``dynamic`` and is asked again about each row that a placement changed;
the others are asked again only when a node's features change.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows, Scores
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.errors import LocalProtocolError


class ClusterEvent(enum.Enum):
    """What may make room for a pod that found none."""

    NODE_ADDED = "a node was added"
    NODE_FEATURES = "a node's labels, taints or runtimes changed"
    VOLUMES = "a claim, a volume or a storage class came or changed"
    CAPACITY_FREED = "a pod has gone, or a node grew"


class Plugin(Protocol):
    """What filters and scores have in common.

    Attributes:
        name: The plugin's registered name.
        dynamic: Whether the answer depends on what is used of a node.
    """

    name: ClassVar[str]
    dynamic: ClassVar[bool]


class Filter(Plugin, Protocol):
    """Tells which nodes can take a pod.

    Attributes:
        wakes: After which events a pod that this filter turned away is worth another look.
    """

    wakes: ClassVar[frozenset[ClusterEvent]]

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` can take ``shape``."""

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Return why, and how often, ``rows``, which were turned away, were turned away."""


class Score(Plugin, Protocol):
    """Tells how well nodes suit a pod.

    Attributes:
        normalized: Whether scores are to be stretched so that the best node has 100.
    """

    normalized: ClassVar[bool]

    def score(self, shape: PodShape, table: NodeTable, rows: Rows) -> Scores:
        """Return a score for each of ``rows``: 0 to 100, or of any scale if it is to be normalized."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins that a scheduler runs.

    Attributes:
        filters: In the order in which a node turned away by several is put down to one.
        scores: With their weights.
    """

    filters: Sequence[Filter]
    scores: Sequence[tuple[Score, float]]


class PluginRegistry:
    """Plugins by name."""

    def __init__(self) -> None:
        self._filters: dict[str, Callable[[], Filter]] = {}
        self._scores: dict[str, Callable[[], Score]] = {}

    def add_filter(self, factory: type[Filter]) -> None:
        """Register a filter under its name.

        Raises:
            LocalProtocolError: The name is taken.
        """
        if factory.name in self._filters:
            raise LocalProtocolError(f"filter {factory.name} is registered already")
        self._filters[factory.name] = factory

    def add_score(self, factory: type[Score]) -> None:
        """Register a score under its name.

        Raises:
            LocalProtocolError: The name is taken.
        """
        if factory.name in self._scores:
            raise LocalProtocolError(f"score {factory.name} is registered already")
        self._scores[factory.name] = factory

    def profile(self, filters: Sequence[str], scores: Sequence[tuple[str, float]]) -> Profile:
        """Make the plugins of these names.

        Raises:
            LocalProtocolError: A name is not registered.
        """
        try:
            return Profile(
                [self._filters[name]() for name in filters], [(self._scores[name](), weight) for name, weight in scores]
            )
        except KeyError as exc:
            raise LocalProtocolError(f"no scheduler plugin {exc.args[0]!r}") from None
