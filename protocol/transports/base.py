"""The one interface that every transport implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Connection(Protocol):
    """A bidirectional, ordered pipe of frames (each one ``bytes``), owned by a single session task.

    Implementations bound the size of a received frame and raise :class:`~protocol.errors.ConnectionClosed`
    from ``receive`` and ``send`` once the pipe has ended, whoever ended it.
    """

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's verified certificate (DER), or None where the transport has none."""

    @property
    def peer_address(self) -> str:
        """The peer's address for logs, ``host:port`` where there is one."""

    @property
    def bytes_received(self) -> int:
        """Bytes that have arrived, those of frames included that are not whole yet: a sign of life on slow links."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Write ``frames`` in order; returns when the pipe will take more (back-pressure).

        Raises:
            ConnectionClosed: The pipe has ended; none, some or all frames may have been delivered.
        """

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionClosed: The pipe has ended.
        """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the pipe. Idempotent; never raises for a pipe that has ended already."""
