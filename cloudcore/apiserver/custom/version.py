"""One version of a custom kind: what its schema makes of objects. Everything is compiled on first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from cloudcore.apiserver.custom import pruning, schemas
from cloudcore.apiserver.custom.schemas import SchemaError
from cloudcore.errors import Cause
from protocol.objects.keys import Body

if TYPE_CHECKING:
    from cloudcore.apiserver.custom.rules import Rules

_ABSENT: Final = object()
_NOT_CHECKED: Final = Cause(
    "FieldValueInvalid",
    'Invalid value: "null": some validation rules were not checked because the object was invalid; '
    "correct the existing errors to complete validation",
    "<nil>",
)


class CustomVersion:
    """The hooks of one version's row in the table of kinds.

    Args:
        version: Its entry in ``spec.versions`` of a CustomResourceDefinition that has been checked.
    """

    def __init__(self, version: Mapping[str, Any]) -> None:
        self.schema: Mapping[str, Any] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        self.columns: Sequence[Mapping[str, Any]] = version.get("additionalPrinterColumns") or ()
        subresources = version.get("subresources") or {}
        self.scale: Mapping[str, str] | None = subresources.get("scale")

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        return schemas.compile_schema(self.schema, resource=True)

    @cached_property
    def _defaults(self) -> Mapping[str, Any] | None:
        return pruning.defaults_of(self.schema)

    @cached_property
    def _list_types(self) -> Mapping[str, Any] | None:
        return schemas.list_types_of(self.schema)

    @cached_property
    def _rules(self) -> Rules | None:
        # Imported late: the expression library costs 20 MB, which a cloud without rules does not spend.
        if not has_rules(self.schema):
            return None
        from cloudcore.apiserver.custom.rules import Rules  # noqa: PLC0415

        return Rules(self.schema)

    def prune(self, body: Body) -> list[str]:
        """Drop unknown fields outside metadata, and return their paths."""
        return pruning.prune(self.schema, body)

    def default(self, body: Body) -> None:
        """Fill absent fields."""
        pruning.apply_defaults(self._defaults, body)

    def default_status(self, body: Body) -> None:
        """Fill the absent fields of the status."""
        status = ((self._defaults or {}).get("properties") or {}).get("status")
        pruning.apply_defaults(None if status is None else {"properties": {"status": status}}, body)

    def check(self, body: Body) -> list[Cause]:
        """Return what is wrong with a new object."""
        errors = self._errors(body)
        return self._with_rules(errors, body, None, [error.cause for error in errors])

    def check_update(self, body: Body, old: Body) -> list[Cause]:
        """Return what is wrong with a changed object.

        What was wrong already and has not been touched is let be, so that a stricter schema does not lock up the
        objects that were there before it (Kubernetes' ratcheting).
        """
        errors = self._errors(body)
        new = [error.cause for error in errors if at(body, error.node) != at(old, error.node)]
        return self._with_rules(errors, body, old, new)

    def _errors(self, body: Body) -> list[SchemaError]:
        errors = [] if self._validator.is_valid(body) else schemas.find_errors(self._validator, body)
        return errors + list(schemas.find_duplicates(self._list_types, body))

    def _with_rules(self, errors: list[SchemaError], body: Body, old: Body | None, told: list[Cause]) -> list[Cause]:
        if self._rules is None:
            return told
        if any(error.blocking for error in errors):
            return [*told, _NOT_CHECKED] if told else told
        return told + self._rules.check(body, old)


def has_rules(schema: Any) -> bool:
    """Tell whether a schema has validation rules anywhere."""
    if not isinstance(schema, dict):
        return False
    if schema.get("x-kubernetes-validations"):
        return True
    below = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(map(has_rules, below))


def at(body: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path, or a mark that equals nothing a body holds where there is none."""
    for step in path:
        if isinstance(body, dict) and step in body:
            body = body[step]
        elif isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        else:
            return _ABSENT
    return body
