from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.files import PUBLIC, make_private_folder, write_file


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_is_its_owners_alone_unless_told_otherwise(tmp_path: Path) -> None:
    write_file(tmp_path / "key", b"secret")
    write_file(tmp_path / "certificate", b"public", mode=PUBLIC)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "certificate").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "key").read_bytes() == b"secret"


def test_a_file_that_was_readable_by_all_no_longer_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"old")
    (tmp_path / "key").chmod(0o666)
    write_file(tmp_path / "key", b"new")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "file", b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_the_draft_of_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_bytes(b"half")
    write_file(tmp_path / "file", b"whole")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_folder_is_tightened(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir(mode=0o755)
    make_private_folder(tmp_path / "pki")
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
