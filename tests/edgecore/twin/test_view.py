"""The twins' database, and what the command line shows of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgecore.twin.book import Book, Device, DeviceName, Draft, Reported
from edgecore.twin.model import Twin, Write, shaped, written
from edgecore.twin.shape import DeviceShape, shape_of
from edgecore.twin.store import TwinStore
from edgecore.twin.view import history_view, twin_view
from protocol.errors import UsageError
from protocol.objects.devices import Report
from tests.support.edgedevices import MODEL, device

HALL = DeviceName("default", "hall")


def drafted(*values: str, name: DeviceName = HALL) -> Draft:
    of: DeviceShape = shape_of(device(name.name, desired={"target": "21"}), MODEL)
    twin: Twin = shaped(None, of, 1000)
    for value in values:
        twin = written(twin, of, {"target": Write(actual=value)}, 2000)
    draft = Draft(Book())
    draft.put(name, Device(of, twin))
    draft.reports = [Reported(name, "target", value, 2000) for value in values]
    return draft


def test_twins_and_reports_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "twins" / "twins.db"
    store = TwinStore(path)
    draft = drafted("20", "21")
    store.commit(draft)
    origin = store.origin
    store.close()
    store = TwinStore(path)
    kept = draft.overlay[HALL]
    assert kept is not None
    assert store.load() == {HALL: kept.twin}
    assert store.unsent(10) == [Report(*HALL, "target", "20", 2000, 1), Report(*HALL, "target", "21", 2000, 2)]
    assert store.origin == origin
    store.close()


def test_the_ring_drops_the_oldest_and_counts_what_the_cloud_had_not_taken(tmp_path: Path) -> None:
    store = TwinStore(tmp_path / "twins" / "twins.db", reports_kept=3)
    store.commit(drafted("5", "6", "7"))
    store.taken(2)
    store.commit(drafted("8", "9"))
    assert store.dropped == 0
    store.commit(drafted("10"))
    assert store.dropped == 1
    assert [each.number for each in store.unsent(10)] == [4, 5, 6]
    store.commit(drafted("11", "12", "13", "14"))
    assert store.dropped == 5
    assert [each.value for each in store.unsent(2)] == ["12", "13"]
    store.close()


def test_a_corrupt_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "twins" / "twins.db"
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 300)
    store = TwinStore(path)
    assert store.load() == {}
    store.commit(drafted("20"))
    assert path.with_suffix(".corrupt").exists()
    store.close()


def test_a_twin_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "twins" / "twins.db"
    store = TwinStore(path)
    store.commit(drafted("20"))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO twins VALUES ('default', 'odd', '[1]')")
    store = TwinStore(path)
    assert set(store.load()) == {HALL}
    store.close()


def test_a_device_is_found_by_its_name_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "twins" / "twins.db"
    store = TwinStore(path)
    store.commit(drafted("20", "19"))
    shown = twin_view(path, "hall")
    target = next(each for each in shown["properties"] if each["name"] == "target")
    assert (target["expected"]["value"], target["actual"]["value"], target["delta"]) == ("21", "19", "21")
    assert target["expected"]["version"] == {"cloud": 1, "edge": 0}
    assert shown["reports"] == {"waiting": 2, "dropped": 0}
    assert [each["value"] for each in history_view(path, "default/hall", 1)] == ["19"]
    store.close()


def test_an_unknown_or_ambiguous_name_is_said(tmp_path: Path) -> None:
    path = tmp_path / "twins" / "twins.db"
    with pytest.raises(UsageError, match="there are: none"):
        twin_view(path, "hall")
    store = TwinStore(path)
    store.commit(drafted())
    store.commit(drafted(name=DeviceName("plant", "hall")))
    with pytest.raises(UsageError, match="several"):
        twin_view(path, "hall")
    assert twin_view(path, "plant/hall")["namespace"] == "plant"
    store.close()
