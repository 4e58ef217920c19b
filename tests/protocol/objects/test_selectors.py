from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.selectors import (
    Requirement,
    is_label_key,
    is_label_value,
    label_selector,
    matches,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "front", "cores": "4", "example.com/zone": "a"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=db", True),
        ("absent!=x", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("absent notin (db)", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("! app", False),
        ("cores>3", True),
        ("cores<4", False),
        ("app>3", False),
        ("absent<3", False),
        ("example.com/zone in (a,b),tier=front,!x", True),
        ("app=", False),
    ],
)
def test_label_selectors(text: str, selected: bool) -> None:
    assert matches(parse_label_selector(text), LABELS) is selected


@pytest.mark.parametrize("text", ["=web", "app in web", "a,,b", "app=we b", "app=(x)", "-app=x", "app=x!", "a in (b"])
def test_malformed_label_selectors_name_the_part(text: str) -> None:
    with pytest.raises(ValueError, match="unable to parse requirement"):
        parse_label_selector(text)


def test_field_selectors_know_equality_only() -> None:
    assert parse_field_selector("metadata.name=x,spec.nodeName!=") == (
        Requirement("metadata.name", "In", ("x",)),
        Requirement("spec.nodeName", "NotIn", ("",)),
    )
    with pytest.raises(ValueError, match="can't understand"):
        parse_field_selector("metadata.name>3")


def test_structured_selectors() -> None:
    selector = label_selector(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    )
    assert matches(selector, LABELS)
    assert not matches(selector, {"app": "web"})
    assert matches(label_selector(None), None)
    with pytest.raises(ValueError, match="not a valid selector operator"):
        label_selector({"matchExpressions": [{"key": "a", "operator": "Near"}]})


def test_a_requirement_made_by_hand_with_an_unknown_operator_raises() -> None:
    with pytest.raises(ValueError, match="not a valid selector operator"):
        Requirement("a", "Near").matches({"a": "b"})


def test_names_and_values() -> None:
    assert is_label_key("app")
    assert is_label_key("edge.aiokubeedge.io/sla")
    assert not is_label_key("/app")
    assert not is_label_key("Not.A.Domain/app")
    assert not is_label_key("a" * 64)
    assert is_label_value("")
    assert not is_label_value("-x")


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,8}\Z"), st.from_regex(r"\A[a-z0-9]{0,8}\Z"), max_size=4))
def test_an_object_is_selected_by_its_own_labels(labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    assert matches(parse_label_selector(text), labels)
