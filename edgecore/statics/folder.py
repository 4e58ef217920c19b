"""Reads the folder of static pods, and keeps what was read beside the agent's other files."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from edgecore.statics.catalogue import Catalogue, Sighting, catalogue_of, is_manifest
from edgecore.statics.documents import MAX_FILE_BYTES
from protocol.files import write_file
from protocol.objects.keys import Body, NodeName
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)


class ManifestFolder:
    """The folder of manifests. Blocking; used by one thread at a time.

    Args:
        path: The folder. It need not be there.
        record: Where what was read is written down.
        node: This node.
        expected: Whether somebody has named it, so that its absence is worth a word.
        wall: Returns seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        record: Path,
        node: NodeName,
        *,
        expected: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._record = record
        self._expected = expected
        self._wall = wall
        self._catalogue = Catalogue(node, str(path))
        self._catalogue.restore(read_record(record))
        self._told: dict[str, str] = {}
        self._begun = False

    def look(self) -> list[Body] | None:
        """Look at the folder once; return its pods, or None where they are what they were at the last look.

        While the folder cannot be read, nothing changes: a card that is not mounted ends no pod.
        """
        first, self._begun = not self._begun, True
        before = self._catalogue.problems()
        changed = self._take_in()
        if not changed and not first:
            if self._catalogue.problems() != before:
                self._note()
            return None
        pods = self._catalogue.pods()
        if changed or self._catalogue.problems() != before:
            self._note()
        return pods

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by file; of the folder itself under an empty name."""
        return self._catalogue.problems()

    def fresh_problems(self) -> dict[str, str]:
        """Return the problems that this has not returned before."""
        now = self.problems()
        fresh = {name: text for name, text in now.items() if self._told.get(name) != text}
        self._told = now
        return fresh

    def _take_in(self) -> bool:
        """Read what is to be read; tell whether anything was, or has gone."""
        try:
            sightings = self._sightings()
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self._expected and self._catalogue.empty:
                return False
            self._catalogue.trouble = f"the folder cannot be read: {error.strerror or error}"
            return False
        changed = self._catalogue.gone(sightings)
        for name in self._catalogue.due(sightings):
            content = self._content(name)
            if content is not None:
                signature = sightings[name].signature
                self._catalogue.read(name, signature, content, at=timestamp(self._wall()))
                changed = True
        return changed

    def _sightings(self) -> dict[str, Sighting]:
        now = self._wall()
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not is_manifest(entry.name):
                    continue
                with suppress(OSError):  # it has just gone, or is a link to nothing
                    it = entry.stat()
                    if stat.S_ISREG(it.st_mode):
                        signature = (it.st_mtime_ns, it.st_ctime_ns, it.st_size, it.st_ino)
                        found[entry.name] = Sighting(signature, now - max(it.st_mtime, it.st_ctime))
        return found

    def _content(self, name: str) -> bytes | None:
        """Return a file's content; None where it cannot be had now: it is looked at again."""
        try:
            # What was a file a moment ago may be a pipe by now, which would keep whoever opens it.
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                still = stat.S_ISREG(os.fstat(descriptor).st_mode) and not _is_written(descriptor)
                return file.read(MAX_FILE_BYTES + 1) if still else None
        except OSError as error:
            self._catalogue.unread(name, f"it cannot be read: {error.strerror or error}")
            return None

    def _note(self) -> None:
        try:
            write_file(self._record, json.dumps(self._catalogue.state()).encode())
        except OSError as error:
            log.warning("what the static pods' files say is not written down", cause=str(error))


def read_record(record: Path) -> Any:
    """Return what an agent has written down of its static pods; None where there is nothing that can be read."""
    try:
        return json.loads(record.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def recorded(record: Path) -> tuple[list[Body], dict[str, str]]:
    """Return the static pods as the agent last knew them, and what was wrong with their files."""
    catalogue = catalogue_of(read_record(record))
    if catalogue is None:
        return [], {}
    pods = catalogue.pods()
    return pods, catalogue.problems()


def _is_written(descriptor: int) -> bool:
    """Tell whether somebody has the file open for writing; False where the file system cannot say.

    A read lease is granted only on a file that nobody writes to. Its holder is told by a signal when somebody is about
    to: by SIGURG, which does nothing, instead of SIGIO, which would end the agent.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
