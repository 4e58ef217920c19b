from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.runtimes.process.logs import LINE_BYTES, LineFormat, LogFile


def texts(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(line.split(b" ", 3)[2], line.split(b" ", 3)[3]) for line in data.splitlines()]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_chunking_of_a_stream_gives_the_same_text(chunks: list[bytes]) -> None:
    chunks = [chunk.replace(b"\r", b" ").replace(b"\x0b", b"").replace(b"\x0c", b"") for chunk in chunks]
    whole, pieces = LineFormat("stdout"), LineFormat("stdout")
    at_once = whole.feed(b"".join(chunks)) + whole.finish()
    bit_by_bit = b"".join(pieces.feed(chunk) for chunk in chunks) + pieces.finish()
    assert texts(at_once) == texts(bit_by_bit)
    assert b"".join(text + (b"\n" if tag == b"F" else b"") for tag, text in texts(at_once)) == b"".join(chunks)


def test_an_endless_line_is_written_in_parts_and_never_held() -> None:
    line = LineFormat("stderr")
    out = b"".join(line.feed(b"x" * 5000) for _ in range(20)) + line.feed(b"\n")
    parts = texts(out)
    assert {tag for tag, _ in parts[:-1]} == {b"P"}
    assert parts[-1][0] == b"F"
    assert sum(len(text) for _, text in parts) == 100_000
    assert max(len(text) for _, text in parts) <= LINE_BYTES


def test_a_file_is_never_larger_than_its_limit(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "0.log"), limit_bytes=100, files=3)
    log.append(b"".join(b"%04d-45678\n" % number for number in range(30)))
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0.log", "0.log.1", "0.log.2"]
    kept = b"".join((tmp_path / name).read_bytes() for name in reversed(names))
    assert kept.endswith(b"0028-45678\n0029-45678\n")
    assert all((tmp_path / name).stat().st_size <= 100 for name in names)


def test_a_line_longer_than_a_file_is_kept(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "0.log"), limit_bytes=10, files=2)
    log.append(b"short\n")
    log.append(b"a line longer than ten bytes\n")
    log.close()
    assert (tmp_path / "0.log").read_bytes() == b"a line longer than ten bytes\n"


def test_one_file_alone_is_emptied(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "0.log"), limit_bytes=10, files=1)
    log.append(b"12345678\nabcdefgh\n")
    log.close()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"abcdefgh\n"]


def test_a_full_disk_loses_output_and_says_so_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(str(tmp_path / "0.log"), limit_bytes=1000, files=2)
    log.append(b"before\n")
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: (_ for _ in ()).throw(OSError(28, "full")))
    log.append(b"lost\n")
    monkeypatch.setattr(os, "write", real)
    log.append(b"after\n")
    log.close()
    text = (tmp_path / "0.log").read_text()
    assert text.startswith("before\n")
    assert "5 bytes of log were lost" in text
    assert text.endswith("after\n")
