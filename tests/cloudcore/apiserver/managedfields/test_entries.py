from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.managedfields.entries import MAX_UPDATERS, Entry, read_entries, write_entries

FIELDS: dict[str, Any] = {"f:data": {"f:a": {}}}


def entry(manager: str = "m", **changes: Any) -> Entry:
    return Entry(
        **{"manager": manager, "operation": "Update", "api_version": "v1", "fields": FIELDS, "time": "t", **changes}
    )


def test_entries_are_read_as_they_were_written() -> None:
    entries = [entry("a", operation="Apply"), entry("b", subresource="status")]
    assert read_entries(write_entries(entries)) == entries


def test_appliers_come_first_then_the_older() -> None:
    entries = [
        entry("new", time="2"),
        entry("old", time="1"),
        entry("applier", operation="Apply", time="3"),
        entry("x", fields={}),
    ]
    assert [each["manager"] for each in write_entries(entries)] == ["applier", "old", "new"]


def test_an_applier_is_the_same_in_any_version_and_an_updater_is_not() -> None:
    assert entry(operation="Apply").identity == entry(operation="Apply", api_version="v2").identity
    assert entry().identity != entry(api_version="v2").identity
    assert entry().identity != entry(subresource="status").identity


def test_the_oldest_of_too_many_updaters_become_one() -> None:
    entries = [entry(f"m{n:02}", time=f"{n:02}", fields={f"f:{n}": {}}) for n in range(MAX_UPDATERS + 2)]
    written = write_entries([*entries, entry("applier", operation="Apply")])
    assert len([each for each in written if each["operation"] == "Update"]) == MAX_UPDATERS
    ancient = next(each for each in written if each["manager"] == "ancient-changes")
    assert set(ancient["fieldsV1"]) == {"f:0", "f:1", "f:2"}


@pytest.mark.parametrize(
    "managed",
    [
        None, {}, [1], [{}], [{"operation": "Delete"}],
        [{"operation": "Update", "fieldsType": "FieldsV2", "fieldsV1": {}}],
        [{"operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"x": 1}}],
        [{"operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}, "manager": 5}],
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_none(managed: object) -> None:
    assert read_entries(managed) is None
