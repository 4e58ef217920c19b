"""What is to be remembered of groups and cannot be read from them: one small file per pod.

What a pod's group is held to when it is not throttled, and the limits that a throttle has lowered. Notes are as old as
the groups: neither survives a reboot, so nothing is synced to disk.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgecore.cgroups.layout import Bounds
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass


@dataclass(frozen=True, slots=True)
class Note:
    """What is remembered of one pod.

    Attributes:
        quality: Its class, which says where its group is.
        bounds: What its group is held to.
        fraction: The share of its processor time it is throttled to; None while it is not.
        lowered: The quotas that the throttle has lowered, by the group's path within the pod's: microseconds of each
            period, None for no limit.
    """

    quality: QosClass
    bounds: Bounds
    fraction: float | None = None
    lowered: dict[str, int | None] = field(default_factory=dict)


class Notes:
    """The notes of all pods, in memory and in a folder.

    Args:
        folder: Where they are kept; made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Uid, Note] = {}

    def load(self) -> None:
        """Read what an earlier agent has noted; what cannot be read is as good as not there.

        Raises:
            OSError: The folder cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            note = _read(path)
            if note is None:
                path.unlink(missing_ok=True)
            else:
                self._held[Uid(path.name)] = note

    @property
    def held(self) -> dict[Uid, Note]:
        """Every pod's note."""
        return dict(self._held)

    def get(self, uid: Uid) -> Note | None:
        """Return a pod's note."""
        return self._held.get(uid)

    def put(self, uid: Uid, note: Note) -> None:
        """Remember a pod.

        Raises:
            OSError: The disk refuses.
        """
        if self._held.get(uid) == note:
            return
        scratch = self._folder / f".{uid}"
        scratch.write_text(json.dumps(asdict(note)))
        scratch.replace(self._folder / uid)
        self._held[uid] = note

    def lower(self, uid: Uid, fraction: float | None, lowered: dict[str, int | None]) -> None:
        """Remember what a throttle has lowered; with None, that nothing is any more.

        Raises:
            OSError: The disk refuses.
        """
        note = self._held.get(uid)
        if note is not None:
            self.put(uid, replace(note, fraction=fraction, lowered=lowered))

    def forget(self, uid: Uid) -> None:
        """Forget a pod."""
        self._held.pop(uid, None)
        (self._folder / uid).unlink(missing_ok=True)


def _read(path: Path) -> Note | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        return Note(**{**fields, "bounds": Bounds(**fields["bounds"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
