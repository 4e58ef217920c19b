"""Validation rules (``x-kubernetes-validations``): compiled once, evaluated over new and changed objects.

What a check may cost is bounded: each evaluation costs the size of what it looks at, and an object that needs more
than :data:`BUDGET` of it is refused, as Kubernetes does.

Source: Kubernetes ``apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go``.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cloudcore.apiserver.custom.expressions import BadExpression, EvaluationFailed, Expression, Type, without_literals
from cloudcore.apiserver.custom.fields import escape, unknown_fields, with_resource_fields, with_times
from cloudcore.apiserver.custom.jsonpath import BadPath, parse
from cloudcore.apiserver.custom.pruning import Schema
from cloudcore.apiserver.custom.schemas import Path, path_text
from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, not_supported, required
from cloudcore.errors import Cause
from protocol.objects.keys import Body

BUDGET: Final = 200_000
"""Values looked at by all rules of one object: about a fifth of a second."""
_EVALUATION: Final = 20
"""What an evaluation costs beside the values it looks at, in values."""
_REASONS: Final = frozenset({"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"})
_OVER_BUDGET: Final = "validation failed due to running out of cost budget, no further validation rules will be run"
_ABSENT: Final = object()


class _Exhausted(Exception):
    """The budget is spent."""


@dataclass(slots=True)
class _Check:
    """One check of one object."""

    left: int
    causes: list[Cause] = field(default_factory=list)


@dataclass(frozen=True)
class _Rule:
    """One rule of one schema node."""

    given: Mapping[str, Any]
    schema: Schema

    @cached_property
    def uses_old(self) -> bool:
        return "oldSelf" in without_literals(self.given["rule"])

    @cached_property
    def rule(self) -> Expression:
        source = with_times(self.schema, self.given["rule"])
        if self.given.get("optionalOldSelf"):
            # The library takes no optional from outside; it is made inside.
            source = f"cel.bind(oldSelf, hasOld ? optional.of(oldSelf) : optional.none(), {source})"
        return Expression(source, self._variables, (Type.BOOL,))

    @cached_property
    def message(self) -> Expression | None:
        source = self.given.get("messageExpression")
        return Expression(with_times(self.schema, source), self._variables, (Type.STRING,)) if source else None

    @cached_property
    def field_path(self) -> Path:
        return parse(self.given["fieldPath"]).names if self.given.get("fieldPath") else ()

    @property
    def _variables(self) -> dict[str, Type]:
        kind = cel_type(self.schema)
        return {"self": kind, "oldSelf": kind, "hasOld": Type.BOOL}

    @property
    def text(self) -> str:
        """What names the rule in messages."""
        return str(self.given.get("message") or self.given["rule"]).strip()

    @property
    def default_message(self) -> str:
        said = str(self.given.get("message") or "").strip()
        return said or f"failed rule: {self.text}"


class Rules:
    """The rules of one schema node and of all below it.

    Args:
        schema: The node's schema.
        resource: It is of a whole resource.
    """

    def __init__(self, schema: Schema, *, resource: bool = True) -> None:
        resource = resource or bool(schema.get("x-kubernetes-embedded-resource"))
        self._schema = with_resource_fields(schema) if resource else schema
        self._rules = [_Rule(each, self._schema) for each in schema.get("x-kubernetes-validations") or ()]
        properties = {name: Rules(each, resource=False) for name, each in (schema.get("properties") or {}).items()}
        self._properties = {name: each for name, each in properties.items() if not each.is_empty}
        self._items = _below(schema.get("items"))
        self._values = _below(schema.get("additionalProperties"))

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule here nor below."""
        return not (self._rules or self._properties or self._items or self._values)

    def check(self, body: Body, old: Body | None) -> list[Cause]:
        """Return what the rules say against an object.

        Args:
            body: The object.
            old: What it was before; None for a new one.
        """
        check = _Check(BUDGET)
        try:
            self.visit(check, (), body, _ABSENT if old is None else old)
        except _Exhausted:
            pass
        return check.causes

    def visit(self, check: _Check, path: Path, value: Any, old: Any) -> None:
        """Evaluate the rules of one value and of all below it; raises once the budget is spent."""
        if value is None:
            return
        if self._rules:
            self._evaluate(check, path, value, old)
        if isinstance(value, dict):
            for name, item in value.items():
                rules = self._properties.get(name, self._values)
                if rules is not None:
                    before = old.get(name, _ABSENT) if isinstance(old, dict) else _ABSENT
                    rules.visit(check, (*path, name), item, before)
        elif isinstance(value, list) and self._items is not None:
            for index, item in enumerate(value):
                self._items.visit(check, (*path, index), item, self._counterpart(item, old))

    def _counterpart(self, item: Any, old: Any) -> Any:
        """Return the element of the old list that ``item`` is a newer state of; only maps and sets tell."""
        kind, keys = self._schema.get("x-kubernetes-list-type"), self._schema.get("x-kubernetes-list-map-keys")
        if not isinstance(old, list) or kind not in {"map", "set"}:
            return _ABSENT
        for before in old:
            if kind == "set" and before == item:
                return before
            if keys and isinstance(item, dict) and isinstance(before, dict):
                if all(item.get(key) == before.get(key) for key in keys):
                    return before
        return _ABSENT

    def _evaluate(self, check: _Check, path: Path, value: Any, old: Any) -> None:
        values: dict[str, Any] | None = None
        for rule in self._rules:
            transition = rule.uses_old or bool(rule.given.get("optionalOldSelf"))
            if transition and old is _ABSENT and not rule.given.get("optionalOldSelf"):
                continue
            if not transition and old is not _ABSENT and old == value:
                continue  # what has not changed was judged before: a stricter rule does not lock it up
            if values is None:
                values = self._variables(value, old)
            check.left -= _size(value) + _EVALUATION
            if check.left < 0:
                check.causes.append(self._invalid(path, _OVER_BUDGET))
                raise _Exhausted
            self._judge(check, rule, path, values)

    def _variables(self, value: Any, old: Any) -> dict[str, Any]:
        now = cel_value(self._schema, value)
        was = now if old is _ABSENT else cel_value(self._schema, old)
        return {"self": now, "oldSelf": was, "hasOld": old is not _ABSENT}

    def _judge(self, check: _Check, rule: _Rule, path: Path, values: Mapping[str, Any]) -> None:
        try:
            held = rule.rule.evaluate(values)
        except BadExpression as error:  # a definition stored before its rules were checked
            check.causes.append(self._invalid(path, f"rule compile error: {error}"))
        except EvaluationFailed as error:
            if error.exhausted:
                why = "no further validation rules will be run due to call cost exceeds limit for rule"
                check.causes.append(self._invalid(path, f"'{error}': {why}: {rule.text}"))
                raise _Exhausted from error
            check.causes.append(self._invalid(path, f"{error} evaluating rule: {rule.text}"))
        else:
            if held is not True:
                check.causes.append(self._failure(rule, path, values))

    def _failure(self, rule: _Rule, path: Path, values: Mapping[str, Any]) -> Cause:
        said = rule.default_message
        try:
            found = rule.message.evaluate(values) if rule.message is not None else None
            if isinstance(found, str) and found.strip() and "\n" not in found:
                said = found.strip()
        except (BadExpression, EvaluationFailed):
            pass  # as in Kubernetes: the message, or the rule, stands in
        where = path_text((*path, *rule.field_path))
        match rule.given.get("reason"):
            case "FieldValueForbidden":
                return forbidden(where, said)
            case "FieldValueRequired":
                return required(where, said)
            case "FieldValueDuplicate":
                return duplicate(where, self._type)
        return invalid(where, self._type, said)

    @property
    def _type(self) -> str:
        return str(self._schema.get("type", ""))

    def _invalid(self, path: Path, why: str) -> Cause:
        return invalid(path_text(path), self._type, why)


def _below(schema: Any) -> Rules | None:
    rules = Rules(schema, resource=False) if isinstance(schema, dict) else None
    return None if rules is None or rules.is_empty else rules


def check_rules(schema: Schema, path: str, *, correlates: bool = True, resource: bool = True) -> Iterator[Cause]:
    """Yield what is wrong with the rules of a schema.

    Args:
        schema: The schema.
        path: Its field path in the definition.
        correlates: Whether a value's older state can be told; where not, no rule may ask for it.
        resource: It is of a whole resource.
    """
    resource = resource or bool(schema.get("x-kubernetes-embedded-resource"))
    known = with_resource_fields(schema) if resource else schema
    for index, given in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _check_rule(_Rule(given, known), f"{path}.x-kubernetes-validations[{index}]", correlates)
    for name, each in (schema.get("properties") or {}).items():
        yield from check_rules(each, f"{path}.properties[{name}]", correlates=correlates, resource=False)
    if isinstance(schema.get("additionalProperties"), dict):
        below = schema["additionalProperties"]
        yield from check_rules(below, f"{path}.additionalProperties", correlates=correlates, resource=False)
    if isinstance(schema.get("items"), dict):
        told = correlates and schema.get("x-kubernetes-list-type") in {"map", "set"}
        yield from check_rules(schema["items"], f"{path}.items", correlates=told, resource=False)


def _check_rule(rule: _Rule, path: str, correlates: bool) -> Iterator[Cause]:
    given = rule.given
    if not str(given["rule"]).strip():
        yield required(f"{path}.rule", "rule is not specified")
        return
    yield from _check_message(given, path)
    yield from _check_expression(rule, "rule", path)
    if given.get("messageExpression"):
        yield from _check_expression(rule, "messageExpression", path)
    if rule.uses_old and not correlates:
        yield invalid(
            f"{path}.rule", given["rule"], "oldSelf cannot be used on the uncorrelatable portion of the schema"
        )
    if given.get("optionalOldSelf") and not rule.uses_old:
        yield invalid(
            f"{path}.optionalOldSelf", True, "option optionalOldSelf is forbidden if rule does not use oldSelf"
        )
    if given.get("fieldPath"):
        yield from _check_field_path(rule, f"{path}.fieldPath")


def _check_message(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    message, reason = given.get("message"), given.get("reason")
    if message is not None and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif message and "\n" in message.strip():
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in str(given["rule"]).strip() and not message and not given.get("messageExpression"):
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{path}.reason", reason, _REASONS)


def _check_expression(rule: _Rule, name: str, path: str) -> Iterator[Cause]:
    source = rule.given[name]
    where, what = f"{path}.{name}", "compilation failed" if name == "rule" else "messageExpression compilation failed"
    unknown = next(unknown_fields(rule.schema, source), "")
    if unknown:
        yield invalid(where, source, f"{what}: ERROR: undefined field '{unknown}'")
        return
    try:
        _ = rule.rule if name == "rule" else rule.message
    except BadExpression as error:
        yield invalid(where, source, f"{what}: {error}")


def _check_field_path(rule: _Rule, path: str) -> Iterator[Cause]:
    node: Any = rule.schema
    try:
        names = rule.field_path
    except BadPath:
        names = ()
    for name in names:
        node = (node.get("properties") or {}).get(name) or node.get("additionalProperties") or {}
    if not names or not node:
        yield invalid(path, rule.given["fieldPath"], "fieldPath must be a valid path: does not refer to a valid field")


def cel_type(schema: Schema) -> Type:
    """Return the type that values of ``schema`` have in rules; unknown where they may be of several."""
    if schema.get("nullable") or schema.get("x-kubernetes-int-or-string"):
        return Type.DYN
    match schema.get("type"):
        case "array":
            return Type.List(cel_type(schema.get("items") or {}))
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return Type.Map(Type.STRING, cel_type(schema["additionalProperties"]))
        case "object":
            return Type.Map(Type.STRING, Type.DYN)
    if schema.get("format") == "byte" and schema.get("type") == "string":
        return Type.BYTES
    plain = {"boolean": Type.BOOL, "integer": Type.INT, "number": Type.DOUBLE, "string": Type.STRING}
    return plain.get(str(schema.get("type")), Type.DYN)


def cel_value(schema: Schema, value: Any) -> Any:
    """Return ``value`` as rules see it: names escaped, whole numbers of type ``number`` as doubles, base64 as bytes."""
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {
            escape(name) if name in properties else name: cel_value(properties.get(name, rest), item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [cel_value(items, item) for item in value]
    if schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    if schema.get("format") == "byte" and isinstance(value, str):
        return _bytes(value)
    return value


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""  # the schema has refused it already


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1 + len(value) // 64 if isinstance(value, str) else 1
