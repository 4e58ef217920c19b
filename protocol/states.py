"""Where a session can stand, and which frames may come then. The transitions are in :mod:`protocol.link`."""

from __future__ import annotations

import enum
from typing import Final

from protocol.frames import FrameType


class Side(enum.Enum):
    """Which end of the session a link is."""

    EDGE = "edge"
    CLOUD = "cloud"


class State(enum.Enum):
    """Where a session stands."""

    NEW = "new"
    GREETED = "greeted"
    OPEN = "open"
    CLOSED = "closed"


_OPEN_FRAMES = frozenset(FrameType) - {FrameType.HELLO, FrameType.WELCOME}

ADMISSIBLE: Final[dict[tuple[Side, State], frozenset[FrameType]]] = {
    (Side.EDGE, State.NEW): frozenset(),
    (Side.EDGE, State.GREETED): frozenset({FrameType.WELCOME, FrameType.ERROR}),
    (Side.EDGE, State.OPEN): _OPEN_FRAMES - {FrameType.INVENTORY},
    (Side.CLOUD, State.NEW): frozenset({FrameType.HELLO, FrameType.ERROR}),
    (Side.CLOUD, State.GREETED): frozenset({FrameType.ERROR}),
    (Side.CLOUD, State.OPEN): _OPEN_FRAMES,
}
