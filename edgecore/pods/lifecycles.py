"""What a container is to have done at its start and its end: hooks, and the signal that ends it. Pure."""

from __future__ import annotations

import enum
import re
import signal
from dataclasses import dataclass
from typing import Final

from protocol.objects.keys import Body

SIGTERM: Final = 15
POST_START_MAX_S: Final = 3600.0
"""Kubernetes sets no limit to a postStart hook; one that has not ended by then will not."""
LAST_MOMENT_S: Final = 2.0
"""What an instance is left between the signal and the kill when its preStop hook has used up the grace period."""

_REALTIME = re.compile(r"SIGRT(MIN|MAX)(?:([+-])(\d+))?")


class Hook(enum.Enum):
    """A moment of a container's life at which it may have something done; the value is how Events name it."""

    POST_START = "PostStart"
    PRE_STOP = "PreStop"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A container's ``lifecycle``.

    Attributes:
        post_start: The hook's handler, which holds one of ``exec``, ``httpGet`` and ``sleep``; or None.
        pre_stop: Likewise.
        stop_signal: The number of the signal that asks the container to end.
    """

    post_start: Body | None = None
    pre_stop: Body | None = None
    stop_signal: int = SIGTERM


PLAIN: Final = Lifecycle()


def lifecycle_of(container: Body) -> Lifecycle:
    """Return the container's lifecycle; an unknown stop signal is SIGTERM."""
    stated = container.get("lifecycle") or {}
    return Lifecycle(
        stated.get("postStart") or None, stated.get("preStop") or None, signal_number(stated.get("stopSignal"))
    )


def signal_number(name: str | None) -> int:
    """Return the number of a signal by its name (``SIGUSR1``, ``SIGRTMIN+3``)."""
    match = _REALTIME.fullmatch(name or "")
    if match is not None:
        end = int(signal.SIGRTMIN if match[1] == "MIN" else signal.SIGRTMAX)
        number = end + int(match[3] or 0) * (-1 if match[2] == "-" else 1)
        return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else SIGTERM
    try:
        return int(signal.Signals[name or "SIGTERM"])
    except KeyError:
        return SIGTERM
