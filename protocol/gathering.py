"""Puts an inventory together that comes in several frames, within bounds."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.errors import RemoteProtocolError
from protocol.frames import CloseCode
from protocol.messages import InventoryEntry
from protocol.settings import LinkSettings


class InventoryGatherer:
    """One session's inventory: there is one at most.

    Args:
        settings: Its bounds.
    """

    __slots__ = ("_done", "_entries", "_settings", "_size_bytes")

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._entries: list[InventoryEntry] = []
        self._size_bytes = 0
        self._done = False

    def add(self, entries: Sequence[InventoryEntry], size_bytes: int, *, last: bool) -> list[InventoryEntry] | None:
        """Take a chunk of ``size_bytes`` on the wire; return the whole inventory with its last one.

        Raises:
            RemoteProtocolError: It is over a bound, or a second one.
        """
        if self._done:
            # Each is answered with a difference of its own, so a peer that repeats it could make work without end.
            raise RemoteProtocolError(CloseCode.UNEXPECTED_FRAME, "a second inventory")
        self._entries += entries
        self._size_bytes += size_bytes
        settings = self._settings
        if len(self._entries) > settings.max_inventory or self._size_bytes > settings.max_inventory_bytes:
            raise RemoteProtocolError(CloseCode.FRAME_TOO_LARGE, f"inventory of over {settings.max_inventory} entries")
        if not last:
            return None
        gathered, self._entries, self._done = self._entries, [], True
        return gathered
