from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edgecore.pods.runtimes.process import lastwords

PATH = "/dev/termination-log"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def made(home: Path, path: str = PATH) -> Path:
    lastwords.make(str(home), path, -1, -1)
    return home / path.lstrip("/")


class TestMaking:
    @pytest.mark.parametrize("path", [PATH, "said", "/a/b/c", "./x//y"])
    def test_an_empty_file_that_anyone_may_write(self, home: Path, path: str) -> None:
        file = made(home, path)
        assert file.read_bytes() == b""
        assert stat.S_IMODE(file.stat().st_mode) == 0o666

    def test_what_the_instance_before_said_is_gone(self, home: Path) -> None:
        made(home).write_text("old")
        assert made(home).read_bytes() == b""

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
    def test_it_is_the_containers(self, home: Path) -> None:
        lastwords.make(str(home), PATH, 1234, 5678)
        for path in (home / "dev", home / "dev/termination-log"):
            assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)

    @pytest.mark.parametrize("path", ["/../up", "a/../../b", "/", "."])
    def test_it_does_not_leave_the_folder(self, home: Path, path: str) -> None:
        with pytest.raises(ValueError, match="terminationMessagePath"):
            made(home, path)

    def test_no_link_is_followed(self, home: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (home / "dev").symlink_to(outside)
        with pytest.raises(OSError, match="dev"):
            made(home)
        assert list(outside.iterdir()) == []

    def test_a_link_in_its_place_is_replaced_and_what_it_names_left_alone(self, home: Path, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.write_text("kept")
        (home / "said").symlink_to(precious)
        made(home, "said").write_text("words")
        assert precious.read_text() == "kept"


class TestReading:
    def test_what_was_said(self, home: Path) -> None:
        made(home).write_bytes(b"out of coffee\n")
        assert lastwords.read(str(home), PATH) == b"out of coffee\n"

    def test_the_beginning_of_what_is_too_long(self, home: Path) -> None:
        made(home).write_bytes(b"a" * 4096 + b"b" * 4096)
        assert lastwords.read(str(home), PATH) == b"a" * 4096

    def test_links_are_not_followed(self, home: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        made(home).unlink()
        (home / "dev/termination-log").symlink_to(secret)
        assert lastwords.read(str(home), PATH) == b""
        (home / "dev/termination-log").unlink()
        (home / "dev").rmdir()
        (tmp_path / "termination-log").write_text("secret")
        (home / "dev").symlink_to(tmp_path)
        assert lastwords.read(str(home), PATH) == b""

    def test_another_name_of_somebody_elses_file_is_not_read(self, home: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        made(home).unlink()
        os.link(secret, home / "dev/termination-log")
        assert lastwords.read(str(home), PATH) == b""

    @pytest.mark.parametrize("kind", ["fifo", "folder", "nothing"])
    def test_what_is_no_file_is_not_read(self, home: Path, kind: str) -> None:
        file = made(home)
        file.unlink()
        if kind == "fifo":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        assert lastwords.read(str(home), PATH) == b""

    @pytest.mark.parametrize("path", ["/../secret", "/"])
    def test_nothing_outside_is_read(self, home: Path, path: str) -> None:
        (home.parent / "secret").write_text("secret")
        assert lastwords.read(str(home), path) == b""


class TestFromTheLog:
    def test_lines_are_put_together_again(self, tmp_path: Path) -> None:
        log = tmp_path / "0.log"
        log.write_bytes(b"T stdout F one\nT stderr P tw\nT stderr F o\nT stdout F \nT stdout P rest\n")
        assert lastwords.from_log(str(log)) == b"one\ntwo\n\nrest"

    def test_the_end_of_a_long_one(self, tmp_path: Path) -> None:
        log = tmp_path / "0.log"
        log.write_bytes(b"".join(b"T stdout F %06d\n" % number for number in range(10_000)))
        said = lastwords.from_log(str(log))
        assert said.split() == [b"%06d" % number for number in range(9920, 10_000)]
        log.write_bytes(b"".join(b"T stdout F %s\n" % (b"x" * 99) for number in range(1000)))
        assert len(lastwords.from_log(str(log))) == lastwords.LOG_BYTES

    def test_there_is_none(self, tmp_path: Path) -> None:
        assert lastwords.from_log(str(tmp_path / "none")) == b""


@pytest.mark.parametrize(
    ("said", "log", "message"),
    [(b"a\0b", "0.log", "a b"), (b"", "0.log", "logged\n"), (b"", "", ""), (b"\xff", "", "\udcff")],
)
def test_the_message(home: Path, said: bytes, log: str, message: str) -> None:
    (home / "0.log").write_bytes(b"T stdout F logged\n")
    made(home).write_bytes(said)
    assert lastwords.message(str(home), PATH, log and str(home / log)) == message
