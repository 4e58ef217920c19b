"""How the fields of a kind merge, read from its schema: what is one value, and what has parts with owners of their own.

``x-kubernetes-list-type`` and ``x-kubernetes-map-type`` say it: lists are one value (atomic) unless they are maps
(elements told apart by keys) or sets; objects have parts unless they are atomic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from cloudcore.apiserver.kinds.kind import Custom, Kind
from cloudcore.apiserver.validation.schemas import definitions, resolve

Schema = Mapping[str, Any]

_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KEY_DEFAULTS: Final = {"protocol": "TCP"}
"""Values of keys that clients leave out, where the schema does not say (Kubernetes' ports)."""
_PLAIN_STRUCTS: Final = frozenset(
    {"jobTemplate", "metadata", "spec", "status", "strategy", "template", "updateStrategy"}
)
"""Fields that Go holds by value: they are always there, so nobody sets them as such."""


class Shape:
    """The merge rules of one schema node.

    Args:
        schema: The node, resolved; None for a node that no schema describes: objects have parts, lists are one value.
        plain: Whether the node is always there, and so nobody's.
    """

    __slots__ = ("_children", "_schema", "is_atomic", "is_declared", "is_plain", "is_set", "keys")

    def __init__(self, schema: Schema | None, *, plain: bool = False) -> None:
        self._schema: Schema = schema or {}
        self._children: dict[str, Shape] = {}
        list_type = self._schema.get("x-kubernetes-list-type")
        self.is_atomic = self._schema.get("x-kubernetes-map-type") == "atomic"
        self.is_set = list_type == "set"
        self.keys: tuple[str, ...] = (
            tuple(self._schema.get("x-kubernetes-list-map-keys") or ()) if list_type == "map" else ()
        )
        self.is_declared = "properties" in self._schema
        self.is_plain = plain

    def child(self, name: str) -> Shape | None:
        """Return the rules of a field; None if the schema does not have it."""
        known = self._children.get(name)
        if known is None:
            known = self._make(name)
            if known is not None:
                self._children[name] = known
        return known

    def knows(self, name: str) -> bool:
        """Tell whether a field is one of a struct's, rather than an entry of a map."""
        return self.is_declared and name in self._schema["properties"]

    @property
    def items(self) -> Shape:
        """The rules of a list's elements."""
        known = self._children.get("[]")
        if known is None:
            known = self._children["[]"] = Shape(self._items_schema())
        return known

    def _items_schema(self) -> Schema:
        items = self._schema.get("items")
        return resolve(dict(items)) if isinstance(items, Mapping) else {}

    def step_of(self, item: Any) -> str | None:
        """Return the step to a list's element; None where the element has no identity."""
        if self.is_set:
            return "v:" + orjson.dumps(item).decode()
        if not isinstance(item, dict):
            return None
        values = {key: self._key_value(item, key) for key in self.keys}
        given = {key: value for key, value in values.items() if value is not None}
        return "k:" + orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode() if given else None

    def _key_value(self, item: dict[str, Any], key: str) -> Any:
        value = item.get(key)
        if value is not None:
            return value
        stated = (self._items_schema().get("properties") or {}).get(key) or {}
        return stated.get("default", _KEY_DEFAULTS.get(key))

    def _make(self, name: str) -> Shape | None:
        schema = self._schema
        if self.knows(name):
            node = schema["properties"][name]
            plain = name in _PLAIN_STRUCTS and "$ref" in node
            return Shape(resolve(dict(node)), plain=plain)
        more = schema.get("additionalProperties")
        if isinstance(more, Mapping):
            return Shape(resolve(dict(more)))
        closed = self.is_declared and not more and not schema.get("x-kubernetes-preserve-unknown-fields")
        return None if closed else Shape(None)


_CUSTOM: Final[WeakKeyDictionary[Custom, Shape]] = WeakKeyDictionary()


def shape_of(kind: Kind) -> Shape:
    """Return the rules of a kind's objects."""
    if kind.custom is None:
        return _builtin(kind.schema)
    shape = _CUSTOM.get(kind.custom)
    if shape is None:
        shape = _CUSTOM[kind.custom] = Shape(_whole(kind.custom.schema))
    return shape


@lru_cache(maxsize=128)
def _builtin(schema: str) -> Shape:
    return Shape(definitions()[schema] if schema else None)


def _whole(schema: Schema) -> Schema:
    """Return a custom kind's schema with the parts that every object has, which it describes loosely if at all."""
    properties = dict(schema.get("properties") or {})
    properties |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": f"#/$defs/{_METADATA}"},
    }
    return {**schema, "properties": properties}
