"""The writes on their way, on disk: a file each, written whole or not at all, by their order.

``pending/<number>-<id>.json`` and ``refused/<number>-<id>.json``. A refused write is written there before it leaves
``pending``; found in both after a crash, it counts as refused. A file that cannot be read is left and passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from edgecore.metaserver.writes import Author, Refused, Write
from protocol.files import make_private_folder, sync, write_file
from protocol.objects.keys import ObjectKey

log = structlog.get_logger("edgecore.metaserver")


class WriteFolder:
    """Keeps writes in a folder, made with mode 0700 when the first one comes. All methods block.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._pending = root / "pending"
        self._refused = root / "refused"
        self._names: dict[str, str] = {}
        self._next = 0

    def load(self) -> tuple[list[Write], list[Refused]]:
        """Return what is pending and what was refused, oldest first."""
        pending = [write_from(row) for row in self._rows(self._pending)]
        refused = [
            Refused(write_from(row["write"]), float(row["at"]), str(row["reason"]), str(row["message"]))
            for row in self._rows(self._refused)
        ]
        return pending, refused

    def keep(self, write: Write) -> None:
        """Put a write on disk, or another state of it.

        Raises:
            OSError: The disk does not take it.
        """
        make_private_folder(self._pending)
        write_file(self._pending / self._name(write.id), json.dumps(asdict(write)).encode())

    def settled(self, write_id: str) -> None:
        """Forget a write that is done.

        Raises:
            OSError: The disk does not let it go.
        """
        self._remove(self._pending, write_id)

    def refuse(self, refused: Iterable[Refused], kept: Iterable[Refused]) -> None:
        """Move refused writes over, and forget what is not of ``kept`` any more.

        Raises:
            OSError: The disk does not take it.
        """
        make_private_folder(self._refused)
        for each in refused:
            write_file(self._refused / self._name(each.write.id), json.dumps(asdict(each)).encode())
            self._remove(self._pending, each.write.id)
        names = {self._name(each.write.id) for each in kept}
        for path in self._refused.glob("*.json"):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _remove(self, folder: Path, write_id: str) -> None:
        if folder.exists():
            (folder / self._name(write_id)).unlink(missing_ok=True)
            sync(folder)

    def _name(self, write_id: str) -> str:
        if write_id not in self._names:
            self._next += 1
            self._names[write_id] = f"{self._next:012d}-{write_id}.json"
        return self._names[write_id]

    def _rows(self, folder: Path) -> Iterator[dict[str, Any]]:
        for path in sorted(folder.glob("*.json")):
            try:
                row = json.loads(path.read_bytes())
                number, _, write_id = path.stem.partition("-")
                self._next = max(self._next, int(number))
                write_from(row.get("write", row))
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                log.error("a write cannot be read, and is left behind", file=str(path), cause=str(error))
                continue
            self._names[write_id] = path.name
            yield row


def write_from(row: dict[str, Any]) -> Write:
    """Return a write from its JSON form.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is unknown, or of another type.
    """
    author, key = Author(**row["author"]), ObjectKey(*row["key"])
    return Write(**{**row, "author": author, "key": key})
