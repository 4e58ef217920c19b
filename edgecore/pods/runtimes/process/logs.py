"""Container logs in the CRI format, ``<time> <stream> <F|P> <line>``, with rotation.

``F`` ends a line, ``P`` is a part of one that was too long. Used by the supervisor: imports only ``os``, ``time``.
"""

from __future__ import annotations

import os
import time

LINE_BYTES = 16 * 1024
"""A longer line is written in parts, so that a program that never ends a line costs no memory."""


class LogFile:
    """One container's log: ``path``, and ``path.1`` (newest) to ``path.<files - 1>``.

    A disk that is full or failing loses output and never blocks the container; the log says how much was lost once
    it can be written again.
    """

    def __init__(self, path: str, *, limit_bytes: int, files: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._files = files
        self._descriptor = -1
        self._size = 0
        self._lost = 0

    def append(self, lines: bytes) -> None:
        """Write whole formatted lines."""
        note = b""
        if self._lost:
            note = b"\n%s stderr F [%d bytes of log were lost: the disk took no writes]\n" % (stamp(), self._lost)
        try:
            self._write(note + lines)
            self._lost = 0
        except OSError:
            self._lost += len(lines)

    def close(self) -> None:
        """Close the file; ``append`` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        while data:
            end = data.rfind(b"\n", 0, max(self._limit - self._size, 0)) + 1
            if end == 0 and self._size:
                self._rotate()
                continue
            # A line longer than a whole file is written all the same.
            end = end or data.find(b"\n") + 1 or len(data)
            written = os.write(self._descriptor, data[:end])
            self._size += written
            data = data[written:]

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = f"{self._path}.{number}"
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.exists(newer):
                os.replace(newer, older)
        if self._files == 1:
            os.truncate(self._path, 0)
        self._open()


class LineFormat:
    """Turns one stream's bytes into log lines, holding at most one unfinished line."""

    def __init__(self, stream: str) -> None:
        self._stream = stream.encode()
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines (and parts of overlong ones) that ``data`` completes, formatted."""
        *lines, rest = (self._rest + data).split(b"\n")
        head = b"%s %s " % (stamp(), self._stream)
        out = []
        for line in lines:
            *parts, last = _parts(line)
            out += [head + b"P " + part + b"\n" for part in parts]
            out.append(head + b"F " + last + b"\n")
        *parts, self._rest = _parts(rest)
        out += [head + b"P " + part + b"\n" for part in parts]
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what is left of an unfinished line, formatted."""
        rest, self._rest = self._rest, b""
        return b"%s %s P %s\n" % (stamp(), self._stream, rest) if rest else b""


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_BYTES] for start in range(0, len(line), LINE_BYTES)] or [b""]


def stamp() -> bytes:
    """Return the current time, RFC 3339 with nanoseconds, UTC."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return b"%s.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), nanoseconds)
