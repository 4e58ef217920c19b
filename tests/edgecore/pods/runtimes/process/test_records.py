from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.runtimes.process import records

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(VALUES.filter(lambda name: name != "end"), VALUES), max_size=10))
def test_fields_survive_and_padding_is_ignored(fields: records.Fields) -> None:
    data = records.encode(fields)
    assert records.decode(data) == fields
    assert records.decode(data.ljust(len(data) + 50, b"\0")) == fields


@given(st.data())
def test_a_torn_record_shows(data: st.DataObject) -> None:
    whole = records.encode([("code", "1"), ("message", "text")])
    cut = data.draw(st.integers(0, len(whole) - 6))
    with pytest.raises(records.RecordTorn):
        records.decode(whole[:cut])


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        records.encode([("arg", "a\0b")])


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "exit")
    records.write(path, [("code", "1")])
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        records.write(path, [("code", "2")])
    assert records.read(path) == {"code": "1"}


def test_reserved_room_becomes_the_record(tmp_path: Path) -> None:
    reserved, path = str(tmp_path / records.EXIT_RESERVE), str(tmp_path / records.EXIT)
    records.reserve(reserved)
    assert os.path.getsize(reserved) == records.RESERVE_BYTES
    records.write_reserved(reserved, path, [("code", "3")])
    assert records.read(path) == {"code": "3"}
    assert not os.path.exists(reserved)


def test_there_is_no_record_where_there_is_no_file(tmp_path: Path) -> None:
    assert records.read(str(tmp_path / "none")) is None
