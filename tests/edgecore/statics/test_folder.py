"""The folder on disk: what is read, what is written down, and files that are being written."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgecore.statics.catalogue import Sighting
from edgecore.statics.folder import ManifestFolder, recorded
from protocol.objects.keys import Body, NodeName


class Wall:
    now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


def manifest(name: str) -> str:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def folder_of(path: Path, *, expected: bool = True) -> ManifestFolder:
    return ManifestFolder(path / "m", path / "record.json", NodeName("n1"), expected=expected, wall=Wall())


def names(pods: list[Body] | None) -> list[str]:
    assert pods is not None
    return [pod["metadata"]["name"] for pod in pods]


def test_files_are_read_and_what_they_say_is_written_down(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.json").write_text(manifest("a"))
    (tmp_path / "m" / "a.json~").write_text(manifest("b"))
    (tmp_path / "m" / "d.json").mkdir()
    folder = folder_of(tmp_path)
    assert names(folder.look()) == ["a-n1"]
    assert folder.look() is None
    assert names(recorded(tmp_path / "record.json")[0]) == ["a-n1"]
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "m" / "a.json").unlink()
    assert names(folder.look()) == []


def test_a_file_that_somebody_writes_is_not_taken_half(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    folder = folder_of(tmp_path)
    with (tmp_path / "m" / "a.json").open("w") as file:
        file.write(manifest("half"))
        file.flush()
        assert names(folder.look()) == []
        assert folder.look() is None
    assert names(folder.look()) == ["half-n1"]


class Swapped(ManifestFolder):
    """Has its file replaced by a pipe between the look at it and the reading."""

    def _sightings(self) -> dict[str, Sighting]:
        found = super()._sightings()
        (self.path / "a.json").unlink()
        os.mkfifo(self.path / "a.json")
        return found


def test_a_file_that_becomes_a_pipe_keeps_nobody(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.json").write_text(manifest("a"))
    assert names(Swapped(tmp_path / "m", tmp_path / "record.json", NodeName("n1"), wall=Wall()).look()) == []


def test_a_folder_that_is_away_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.json").write_text(manifest("a"))
    folder_of(tmp_path).look()
    os.rename(tmp_path / "m", tmp_path / "away")
    folder = folder_of(tmp_path)
    assert names(folder.look()) == ["a-n1"]
    assert "cannot be read" in folder.fresh_problems()[""]
    assert folder.fresh_problems() == {}
    assert "cannot be read" in recorded(tmp_path / "record.json")[1][""]
    os.rename(tmp_path / "away", tmp_path / "m")
    folder.look()
    assert folder.problems() == {}


def test_a_folder_nobody_named_may_be_missing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, expected=False)
    assert folder.look() == []
    assert folder.problems() == {}


def test_a_file_that_cannot_be_read_is_named_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.json").write_text(manifest("a"))
    (tmp_path / "m" / "b.json").symlink_to("nothing")
    folder = folder_of(tmp_path)
    assert names(folder.look()) == ["a-n1"]


def test_a_record_that_is_damaged_costs_nothing_but_a_look(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.json").write_text(manifest("a"))
    (tmp_path / "record.json").write_bytes(b"\x00" * 100)
    assert names(folder_of(tmp_path).look()) == ["a-n1"]
