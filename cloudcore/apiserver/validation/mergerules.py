"""Merge rules: how strategic merge patch treats each field, read from the Kubernetes schemas."""

from __future__ import annotations

from functools import lru_cache

from cloudcore.apiserver.validation.schemas import Schema, definitions, resolve
from protocol.objects.patches import MergeRules

_FREE: Schema = {}
_ITEMS = "[]"
_OTHERS = "*"


class SchemaRules:
    """The merge rules of one schema node. See :class:`protocol.objects.patches.MergeRules`.

    Args:
        schema: The node, resolved.
    """

    __slots__ = ("_fields", "_schema")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields: dict[str, SchemaRules] = {}

    @property
    def merge_key(self) -> str:
        """The field by which elements of this list are told apart; empty: a list that is replaced, or of scalars."""
        return str(self._schema.get("x-kubernetes-patch-merge-key", ""))

    @property
    def strategies(self) -> frozenset[str]:
        """``merge``, ``retainKeys``, both or none."""
        return frozenset(filter(None, str(self._schema.get("x-kubernetes-patch-strategy", "")).split(",")))

    def field(self, name: str) -> MergeRules:
        """Return the rules of a field of this object."""
        properties = self._schema.get("properties") or _FREE
        if name not in properties:
            # All fields without a name of their own share one entry: clients make such names up without end.
            return self._rules(_OTHERS, self._schema.get("additionalProperties") or _FREE)
        return self._rules(name, properties[name])

    @property
    def items(self) -> MergeRules:
        """The rules of this list's elements."""
        return self._rules(_ITEMS, self._schema.get("items", _FREE))

    def _rules(self, name: str, node: Schema | bool) -> SchemaRules:
        rules = self._fields.get(name)
        if rules is None:
            rules = self._fields[name] = SchemaRules(resolve(node) if isinstance(node, dict) else _FREE)
        return rules


@lru_cache(maxsize=128)
def merge_rules(definition: str) -> MergeRules:
    """Return the rules of a kind, by its definition's name; empty: every map merges, every list is replaced."""
    return SchemaRules(definitions()[definition] if definition else _FREE)
