"""Lines out of a stream of bytes, however it is cut. Performs no I/O."""

from __future__ import annotations

from typing import Final

from cloudcore.errors import InternalError

MAX_LINE_BYTES: Final = 8 << 20
"""An event is an object of at most 1.5 MiB (or so: etcd's limit is a setting) and a few words."""


class Lines:
    """Collects pieces and gives the complete lines in them.

    Args:
        limit: The longest line, bytes.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Take a piece and return the lines that it completes, without their ends; empty lines are left out.

        Raises:
            InternalError: A line is over the limit.
        """
        first, *others = piece.split(b"\n")
        self._begun.append(first)
        self._size += len(first)
        if self._size > self._limit:
            raise InternalError(f"the API server sent a line of over {self._limit} bytes")
        if not others:
            return []
        lines = [b"".join(self._begun), *others[:-1]]
        self._begun, self._size = [others[-1]], len(others[-1])
        return [line for line in lines if line]
