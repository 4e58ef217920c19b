"""Definitions and objects of any shape: refused or taken, but always with an answer."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from cloudcore.apiserver.custom.checks import check_definition, default_definition
from cloudcore.apiserver.custom.names import status_of_names
from cloudcore.apiserver.custom.rows import rows_of
from cloudcore.apiserver.custom.structural import check_structural
from protocol.objects.keys import Body
from tests.support.definitions import a_crontab, a_definition, a_version
from tests.support.examples import trying

# What JSON can hold, as the server's decoder gives it.
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
NAMES = st.sampled_from(["a", "b", "metadata", "kind", "spec"])
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean"])
BELOW: st.SearchStrategy[Any] = st.deferred(lambda: SCHEMAS)
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES,
    "properties": st.dictionaries(NAMES, BELOW, max_size=3),
    "items": BELOW,
    "additionalProperties": BELOW | st.booleans(),
    "required": st.lists(NAMES, max_size=2),
    "default": JSON,
    "enum": st.lists(SCALARS, max_size=3),
    "nullable": st.booleans(),
    "pattern": st.sampled_from(["^a", "(", "[0-9]+"]),
    "format": st.sampled_from(["date-time", "cidr", "byte"]),
    "minimum": NUMBERS,
    "maxLength": st.integers(-2, 2**63),
    "multipleOf": st.integers(-2, 2),
    "allOf": st.lists(BELOW, max_size=2),
    "anyOf": st.lists(BELOW, max_size=2),
    "not": BELOW,
    "x-kubernetes-int-or-string": st.booleans(),
    "x-kubernetes-preserve-unknown-fields": st.booleans(),
    "x-kubernetes-embedded-resource": st.booleans(),
    "x-kubernetes-list-type": st.sampled_from(["set", "map", "atomic"]),
    "x-kubernetes-list-map-keys": st.lists(NAMES, max_size=2),
    "x-kubernetes-validations": st.lists(st.fixed_dictionaries({"rule": st.sampled_from(["true", "self == self"])})),
}


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Return a schema that is mostly right; now and then a keyword has any value at all."""
    chosen = draw(st.lists(st.sampled_from(sorted(WORDS)), max_size=3, unique=True))
    schema = {word: draw(JSON if draw(st.integers(0, 9)) == 9 else WORDS[word]) for word in chosen}
    return {"type": draw(TYPES), **schema}


SCHEMAS: st.SearchStrategy[dict[str, Any]] = schemas()
UNHURRIED = trying(150, suppress_health_check=list(HealthCheck))


@UNHURRIED
@given(SCHEMAS | JSON)
def test_any_schema_gets_an_answer(schema: Any) -> None:
    for cause in check_structural({"type": "object", "properties": {"spec": schema}}, "schema"):
        assert cause.field.startswith("schema")


@UNHURRIED
@given(SCHEMAS, JSON, JSON)
def test_any_object_of_a_kind_that_was_let_in_gets_an_answer(schema: Any, new: Any, old: Any) -> None:
    body = a_definition(a_version(spec=schema))
    default_definition(body)
    if check_definition(body):
        return
    body["status"] = status_of_names(body, [], "now")
    [row] = rows_of(body)
    assert row.custom is not None
    before = _object(old)
    for written in (_object(new), before):
        row.custom.prune(written)
        row.defaults(written)
        row.validate(written)
        row.validate_update(written, before)


def _object(spec: Any) -> Body:
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", **a_crontab(), "spec": spec}
