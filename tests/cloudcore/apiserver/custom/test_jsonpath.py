from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.jsonpath import BadPath, parse

BODY = {
    "metadata": {"labels": {"example.com/a": "b"}},
    "spec": {"replicas": 3, "list": [{"n": "x"}, {"n": "y"}], "null": None},
    "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True", "ok": True}]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".spec.replicas", 3),
        ("{.spec.replicas}", 3),
        (".spec.missing", None),
        (".spec.replicas.deeper", None),
        (".spec.null", None),
        (r".metadata.labels.example\.com/a", "b"),
        (".metadata.labels['example.com/a']", "b"),
        ('.metadata.labels["example.com/a"]', "b"),
        (".spec.list[1].n", "y"),
        (".spec.list[-1].n", "y"),
        (".spec.list[5].n", None),
        (".spec.list[*].n", "x"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".status.conditions[?(@.type == 'Ready')].status", "True"),
        ('.status.conditions[?(@.type!="A")].status', "True"),
        (".status.conditions[?(@.ok==true)].type", "Ready"),
        (".status.conditions[?(@.ok)].type", "Ready"),
        ('.status.conditions[?(@.type=="Missing")].status', None),
    ],
)
def test_the_first_value_on_the_path(path: str, value: Any) -> None:
    assert parse(path).first(BODY) == value


@pytest.mark.parametrize("path", ["", "spec", ".spec[", ".spec[?(@.a<1)]", ".spec..a", ".spec[1:2]"])
def test_what_is_no_such_path_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        parse(path)


def test_only_a_path_of_names_has_names() -> None:
    assert parse(r".spec.a\.b['c']").names == ("spec", "a.b", "c")
    assert parse(".spec.list[0]").names == ()
