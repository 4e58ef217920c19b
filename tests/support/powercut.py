"""A disk that forgets what was not synced: a SQLite VFS on apsw, and the binding that runs the engine on it.

SIGKILL leaves the page cache alone, so only a model of the disk shows what a power cut does. Reads and writes go to
real files; beside them, ``PowerCutDisk`` keeps what each file would hold after a power cut: its content at its last
sync.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw

from cloudcore.store.sqlite.driver import Connection

_numbers = itertools.count()
Write = tuple[int, bytes] | int


class _FileModel:
    """What one file holds durably, and the writes (offset, data) and truncations (size) since the last sync."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.unsynced: list[Write] = []
        self.syncs = 0

    def sync(self) -> None:
        self.syncs += 1
        self._apply(self.durable, self.unsynced)
        self.unsynced = []

    def after_power_cut(self, rng: Random | None) -> bytes:
        """Return the durable content, with a random part of the unsynced writes where ``rng`` is given."""
        content = bytearray(self.durable)
        if rng is not None:
            self._apply(content, [write for write in self.unsynced if rng.random() < 0.5])
        return bytes(content)

    @staticmethod
    def _apply(content: bytearray, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, int):
                del content[write:]
                continue
            offset, data = write
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data


class _File(apsw.VFSFile):
    def __init__(self, filename: Any, flags: list[int], model: _FileModel) -> None:
        super().__init__("", filename, flags)
        self._model = model

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._model.unsynced.append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._model.unsynced.append(size)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._model.sync()


class _Vfs(apsw.VFS):
    def __init__(self, name: str, files: dict[str, _FileModel]) -> None:
        self._files = files
        super().__init__(name, "", maxpathname=4096)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name if isinstance(name, str) or name is None else name.filename()
        return _File(name, flags, self._files.setdefault(os.path.basename(path or "temporary"), _FileModel()))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._files.pop(os.path.basename(filename), None)


class PowerCutDisk:
    """A driver whose files can lose power.

    Attributes:
        error: The base of its connections' exceptions.
        files: The model of each file, by name.
    """

    error: type[Exception] = apsw.Error

    def __init__(self) -> None:
        self.files: dict[str, _FileModel] = {}
        self._name = f"powercut-{next(_numbers)}"
        self._vfs = _Vfs(self._name, self.files)

    def connect(self, path: str) -> Connection:
        connection: Connection = apsw.Connection(path, vfs=self._name)
        return connection

    def is_full(self, exc: Exception) -> bool:
        return isinstance(exc, apsw.FullError)

    def cut_power(self, path: Path, into: Path, rng: Random | None = None) -> None:
        """Write to ``into`` what is left of the database ``path`` after a power cut at this moment."""
        for suffix in ("", "-wal"):
            model = self.files.get(f"{path.name}{suffix}")
            if model is not None:
                Path(f"{into}{suffix}").write_bytes(model.after_power_cut(rng))
