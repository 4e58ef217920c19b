from __future__ import annotations

from pathlib import Path

import pytest

from edgecore.pods.volumekinds.mounting import _hidden, mounts_below

TABLE = [
    "27 1 254:0 / / rw - overlay overlay rw",
    "40 27 254:1 /x /data rw shared:5 - ext4 /dev/vda rw",
    "41 27 254:1 /x /data/private rw - ext4 /dev/vda rw",
    "42 27 0:9 / /data/a\\040b rw - tmpfs tmpfs rw",
]


def test_what_is_mounted_below_a_folder_in_the_order_it_was() -> None:
    assert mounts_below(Path("/data"), TABLE) == [Path("/data"), Path("/data/private"), Path("/data/a b")]
    assert mounts_below(Path("/dat"), TABLE) == []


@pytest.mark.parametrize(("folder", "hidden"), [("/other", False), ("/data/x", False), ("/data/private/x", True)])
def test_mounts_in_a_container_are_seen_outside_only_if_shared(folder: str, hidden: bool) -> None:
    why = _hidden(Path(folder), TABLE)
    assert bool(why) is hidden
    assert not hidden or "/data/private is not mounted there with shared propagation (rshared)" in why
