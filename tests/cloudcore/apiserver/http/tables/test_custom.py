from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.http.tables import column_definitions, custom_printer, row
from protocol.objects.resources import DEFINITIONS
from tests.support.registries import START, START_S

BODY = {
    "metadata": {"name": "mine", "creationTimestamp": START},
    "spec": {"text": "a", "whole": 3, "part": 1.5, "yes": True, "list": ["x", 1], "since": START, "bad": "someday"},
}


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("string", ".spec.text", "a"),
        ("string", ".spec.whole", "3"),
        ("string", ".spec.yes", "true"),
        ("string", ".spec.list", '["x",1]'),
        ("string", ".spec.missing", None),
        ("integer", ".spec.whole", 3),
        ("integer", ".spec.part", 1),
        ("integer", ".spec.text", None),
        ("integer", ".spec.yes", None),
        ("number", ".spec.part", 1.5),
        ("boolean", ".spec.yes", True),
        ("boolean", ".spec.text", None),
        ("date", ".spec.since", "90s"),
        ("date", ".spec.bad", "<invalid>"),
        ("date", ".spec.whole", None),
    ],
)
def test_a_cell_has_the_type_of_its_column(kind: str, path: str, cell: Any) -> None:
    printer = custom_printer([{"name": "C", "type": kind, "jsonPath": path}])
    assert printer.cells(BODY, START_S + 90) == ["mine", cell]


def test_columns_are_those_of_the_definition_behind_the_name() -> None:
    column = {"name": "C", "type": "string", "jsonPath": ".spec.a", "priority": 1, "description": "What it is."}
    name, own = column_definitions(custom_printer([column]))
    assert name["name"] == "Name"
    assert own == {"name": "C", "type": "string", "format": "", "description": "What it is.", "priority": 1}


def test_without_columns_the_age_is_shown() -> None:
    printer = custom_printer([])
    assert [column["name"] for column in column_definitions(printer)] == ["Name", "Age"]
    assert row(printer, BODY, now=START_S + 90)["cells"] == ["mine", "90s"]


def test_definitions_show_when_they_were_made() -> None:
    assert row(DEFINITIONS, BODY, now=START_S)["cells"] == ["mine", START]
