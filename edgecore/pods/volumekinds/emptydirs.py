"""emptyDir: a folder on disk or in memory that lives as long as its pod.

A folder is made under another name and moved to its place when it is whole, so what is found in that place is the
pod's, with what it has written and the mode it has given it. One in memory is empty again after a reboot.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edgecore.pods.storage import VolumeUnavailable
from edgecore.pods.trees import remove_tree
from edgecore.pods.volumekinds import mounting
from protocol.objects.keys import Body
from protocol.objects.quantities import whole

_EVERYBODY: Final = 0o777
_SET_GROUP: Final = 0o2000


def make_empty_dir(path: Path, volume: Body, pod: Body, group: int | None) -> None:
    """Make the volume, where it is not there yet.

    Args:
        path: Where.
        volume: The pod's volume.
        pod: The pod; a volume in memory is no larger than its containers' memory limits together.
        group: The group it belongs to (``fsGroup``), or None.

    Raises:
        VolumeUnavailable: It is wanted of a medium that is not to be had here.
        OSError: The disk refuses.
    """
    source = volume["emptyDir"] or {}
    medium = source.get("medium") or ""
    if medium not in ("", "Memory"):
        raise VolumeUnavailable(f"emptyDir medium {medium!r} is not supported on this node")
    if not path.is_dir():
        _make_folder(path, group)
    if medium == "Memory" and not mounting.mounts_below(path):
        reason = mounting.can_mount(path)
        if reason:
            raise VolumeUnavailable(f"emptyDir medium Memory: {reason}")
        mounting.mount_tmpfs(path, _options(memory_size(source, pod), group))


def memory_size(source: Body, pod: Body) -> int | None:
    """Return how large a volume in memory may grow, bytes; None leaves it to the kernel: half of the memory."""
    limits = _memory_limits(pod["spec"])
    stated = [whole(source["sizeLimit"])] if source.get("sizeLimit") not in (None, "", "0", 0) else []
    return min([*stated, *([sum(limits)] if all(limits) else [])], default=None)


def _memory_limits(spec: Body) -> list[int]:
    """Return the memory limits of the containers that run at once, 0 for one that has none."""
    sidecars: Iterable[Body] = (c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always")
    containers = [*spec["containers"], *sidecars]
    return [whole(((c.get("resources") or {}).get("limits") or {}).get("memory", "0")) for c in containers] or [0]


def _options(size_bytes: int | None, group: int | None) -> str:
    mode = _EVERYBODY if group is None else _EVERYBODY | _SET_GROUP
    options = [f"mode={mode:o}"]
    options += [f"gid={group}"] if group is not None else []
    options += [f"size={size_bytes}"] if size_bytes is not None else []
    return ",".join(options)


def _make_folder(path: Path, group: int | None) -> None:
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    # No volume's name has a dot in it.
    scratch = path.with_name(f".{path.name}")
    remove_tree(scratch)
    scratch.mkdir()
    mode = _EVERYBODY
    if group is not None and os.geteuid() == 0:
        os.chown(scratch, -1, group)
        mode |= _SET_GROUP
    scratch.chmod(mode)
    scratch.rename(path)
