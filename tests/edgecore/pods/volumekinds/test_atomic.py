from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edgecore.pods.projection import File
from edgecore.pods.volumekinds.atomic import project


def test_content_is_seen_through_one_link(tmp_path: Path) -> None:
    project(tmp_path / "v", {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)})
    assert (tmp_path / "v/a").read_bytes() == b"1"
    assert (tmp_path / "v/d/b").read_bytes() == b"2"
    assert os.readlink(tmp_path / "v/a") == "..data/a"
    assert stat.S_IMODE((tmp_path / "v/d/b").stat().st_mode) == 0o600


def test_an_update_replaces_removes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    project(volume, {"a": File(b"1", 0o644), "gone": File(b"x", 0o644)})
    opened = (volume / "a").open("rb")
    project(volume, {"a": File(b"2", 0o644), "new": File(b"y", 0o644)})
    with opened:
        assert opened.read() == b"1"
    assert sorted(path.name for path in volume.iterdir() if not path.name.startswith("..")) == ["a", "new"]
    assert (volume / "a").read_bytes() == b"2"
    assert len([path for path in volume.iterdir() if path.name.startswith("..")]) == 2


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    project(tmp_path / "v", {"a": File(b"1", 0o644)})
    before = os.readlink(tmp_path / "v/..data")
    project(tmp_path / "v", {"a": File(b"1", 0o644)})
    assert os.readlink(tmp_path / "v/..data") == before


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path / "v", {"a": File(b"1", 0o644)})
    monkeypatch.setattr(os, "fchmod", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        project(tmp_path / "v", {"a": File(b"2", 0o644)})
    assert (tmp_path / "v/a").read_bytes() == b"1"
    assert len(list((tmp_path / "v").iterdir())) == 3


def test_what_an_agent_that_died_left_half_made_goes(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    project(volume, {"a": File(b"1", 0o644)})
    (volume / "..half").mkdir()
    (volume / "..half" / "a").write_bytes(b"secret")
    (volume / "..data_new").symlink_to("..half")
    project(volume, {"a": File(b"2", 0o644)})
    assert sorted(path.name for path in volume.iterdir() if path.name.startswith("..")) == sorted(
        ["..data", os.readlink(volume / "..data")]
    )


def test_links_that_were_not_made_in_time_are_made_by_the_next_agent(tmp_path: Path) -> None:
    project(tmp_path / "v", {"a": File(b"1", 0o644)})
    (tmp_path / "v" / "a").unlink()
    project(tmp_path / "v", {"a": File(b"1", 0o644)})
    assert (tmp_path / "v" / "a").read_bytes() == b"1"
