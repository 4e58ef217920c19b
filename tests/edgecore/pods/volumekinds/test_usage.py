from __future__ import annotations

import os
from pathlib import Path

from edgecore.pods.storage import VolumeUsage
from edgecore.pods.trees import remove_tree
from edgecore.pods.volumekinds.usage import KEPT_S, UsageMeter, measure
from protocol.objects.keys import Uid


def test_files_are_counted_once_whatever_they_are_called_and_however_deep(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    os.link(tmp_path / "file", tmp_path / "again")
    (tmp_path / "link").symlink_to("/etc")
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):  # more than there are descriptors, and longer than a path may be
            os.mkdir("deep", dir_fd=here)
            inner = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    found = measure(tmp_path)
    remove_tree(tmp_path / "deep")  # which whoever clears temporary folders away could not
    assert found.inodes == 1 + 1 + 1 + 1200
    assert 50_000 <= found.size_bytes < 50_000 + 1300 * 8192


async def test_answers_are_kept_for_a_while_and_longer_where_they_cost_much() -> None:
    now, asked = [0.0], []

    def slow(path: Path, in_memory: bool) -> VolumeUsage:
        asked.append(path.name)
        now[0] += 2.0 if path.name == "large" else 0.0
        return VolumeUsage(len(asked), 1, in_memory)

    meter, uid = UsageMeter(lambda: now[0], slow), Uid("u1")
    volumes = {"small": (Path("small"), True), "large": (Path("large"), False)}
    assert await meter.usage(uid, volumes) == {"small": VolumeUsage(1, 1, True), "large": VolumeUsage(2, 1)}
    now[0] = 2.0 + KEPT_S
    await meter.usage(uid, volumes)
    assert asked == ["small", "large", "small"]
    now[0] = 2.0 + 40.0
    await meter.usage(uid, volumes)
    assert asked[3:] == ["small", "large"]
    meter.forget(uid)
    await meter.usage(uid, {"small": volumes["small"]})
    assert asked[5:] == ["small"]


async def test_a_volume_that_cannot_be_walked_is_left_out(tmp_path: Path) -> None:
    assert await UsageMeter().usage(Uid("u1"), {"gone": (tmp_path / "gone", False)}) == {}
