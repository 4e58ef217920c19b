"""The OpenAPI schemas of custom kinds, made from their structural schemas. Sans-IO.

Source: Kubernetes ``apiextensions-apiserver/pkg/controller/openapi/builder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudcore.apiserver.kinds.kind import Kind

Document = dict[str, Any]

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META: Final = _META + "ObjectMeta"
LIST_META: Final = _META + "ListMeta"
_API_VERSION: Final = {
    "type": "string",
    "description": "The versioned schema of this representation of an object.",
}
_KIND: Final = {"type": "string", "description": "The REST resource this object represents, in CamelCase."}
_NOT_IN_V2: Final = frozenset({"allOf", "anyOf", "default", "nullable", "not", "oneOf"})


def custom_schemas(kind: Kind, name: str, prefix: str) -> dict[str, Document]:
    """Return the schemas of a custom kind and of its lists, by name.

    Args:
        kind: The kind; it has a schema of its own.
        name: The name of its schema.
        prefix: What references start with: ``#/components/schemas/`` in OpenAPI 3, ``#/definitions/`` in 2.
    """
    root = _convert(kind.custom.schema if kind.custom is not None else {}, v2=prefix == "#/definitions/")
    properties = {
        **root.get("properties", {}),
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": _reference(prefix + OBJECT_META, "Standard object metadata."),
    }
    whole = {**root, "type": "object", "properties": properties, **_group_version_kind(kind, kind.kind)}
    items = {"type": "array", "items": {"$ref": prefix + name}, "description": f"List of {kind.plural}."}
    listed = {
        "type": "object",
        "description": f"{kind.list_kind} is a list of {kind.kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": _API_VERSION,
            "items": items,
            "kind": _KIND,
            "metadata": _reference(prefix + LIST_META, "Standard list metadata."),
        },
        **_group_version_kind(kind, kind.list_kind),
    }
    return {name: whole, f"{name}List": listed}


def _reference(target: str, description: str) -> Document:
    if target.startswith("#/definitions/"):
        return {"$ref": target, "description": description}
    return {"allOf": [{"$ref": target}], "default": {}, "description": description}


def _group_version_kind(kind: Kind, name: str) -> Document:
    return {"x-kubernetes-group-version-kind": [{"group": kind.group, "version": kind.version, "kind": name}]}


def _convert(schema: Mapping[str, Any], *, v2: bool) -> Document:
    """Return a schema for a document; OpenAPI 2 lacks words, whose loss only makes it say less."""
    if v2 and (schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")):
        described = {"description": schema["description"]} if "description" in schema else {}
        return {**described, **{key: True for key in schema if key.startswith("x-kubernetes-") and schema[key] is True}}
    return {key: _convert_value(key, value, v2=v2) for key, value in schema.items() if not (v2 and key in _NOT_IN_V2)}


def _convert_value(key: str, value: Any, *, v2: bool) -> Any:
    if key == "properties":
        return {name: _convert(each, v2=v2) for name, each in value.items()}
    if key in {"items", "additionalProperties", "not"} and isinstance(value, dict):
        return _convert(value, v2=v2)
    if key in {"allOf", "anyOf", "oneOf"}:
        return [_convert(each, v2=v2) for each in value]
    return value
