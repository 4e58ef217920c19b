"""The tokens of pods on disk: a file per pod, 0600 in a folder 0700. Plain file work, done in threads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from edgecore.accounts.ledger import Token
from edgecore.accounts.wants import read, written
from protocol.files import make_private_folder, write_file
from protocol.objects.keys import Uid

log = structlog.get_logger(__name__)

_UID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class TokenFiles:
    """Keeps tokens below ``folder``.

    Args:
        folder: Made when the first token is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> list[Token]:
        """Return every token, each pod's oldest first. What a file that cannot be read held is asked for anew."""
        paths = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        # As they were written: the device's clock may have run backwards between two of a pod.
        return [token for path in paths for token in _tokens_in(path)]

    def keep(self, pod: Uid, tokens: Sequence[Token]) -> None:
        """Replace what is kept of a pod.

        Raises:
            OSError: The disk refuses; what was there before still is.
        """
        make_private_folder(self._folder)
        write_file(self._path(pod), json.dumps([written(token) for token in tokens]).encode())

    def remove(self, pod: Uid) -> None:
        """Remove what is kept of a pod.

        Raises:
            OSError: The disk refuses.
        """
        self._path(pod).unlink(missing_ok=True)

    def _path(self, pod: Uid) -> Path:
        if not _UID.fullmatch(pod):
            raise OSError(f"uid {pod!r} cannot name a file")
        return self._folder / f"{pod}.json"


def _tokens_in(path: Path) -> Iterator[Token]:
    try:
        rows = json.loads(path.read_bytes())
        yield from [read(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("a pod's tokens cannot be read; they are asked for anew", path=str(path), cause=repr(error))
