from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.http.query import Query, split_target
from cloudcore.errors import BadRequest


def test_a_target_is_split_and_decoded() -> None:
    path, query = split_target("/api/v1/a%20b?labelSelector=a%3Db%2Cc&watch")
    assert path == "/api/v1/a b"
    assert query.text("labelSelector") == "a=b,c"
    assert query.values["watch"] == ""
    assert split_target("/api")[1].text("x") == ""


@given(st.text())
def test_any_target_is_a_path_and_single_values(text: str) -> None:
    path, query = split_target("/" + text)
    assert path.startswith("/")
    assert all(isinstance(part, str) for pair in query.values.items() for part in pair)
    assert "?" in text or query.values == {}


@pytest.mark.parametrize(
    ("value", "flag"), [("1", True), ("true", True), ("T", True), ("0", False), ("false", False), ("", False)]
)
def test_flags(value: str, flag: bool) -> None:
    assert Query({"f": value}).flag("f") is flag
    assert Query({}).flag("f") is False


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, "9" * 5000, "¹"])
def test_numbers_are_whole_and_not_negative(value: str) -> None:
    assert Query({"n": "12"}).number("n") == 12
    assert Query({}).number("n") is None
    with pytest.raises(BadRequest) as caught:
        Query({"n": value}).number("n")
    assert caught.value.causes[0].field == "n"


def test_words_are_checked() -> None:
    assert Query({"dryRun": "All"}).dry_run
    assert not Query({}).dry_run
    assert Query({}).field_validation == "Warn"
    assert Query({"fieldValidation": "Strict"}).field_validation == "Strict"
    with pytest.raises(BadRequest):
        _ = Query({"dryRun": "x"}).dry_run
    with pytest.raises(BadRequest):
        _ = Query({"fieldValidation": "strict"}).field_validation
    with pytest.raises(BadRequest):
        Query({"f": "perhaps"}).flag("f")
