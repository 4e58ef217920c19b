"""The OpenAPI documents ``kubectl explain``, validation and patching read.

Built on first use from the same definitions objects are validated against, one per group-version, and kept
compressed: together they would be several megabytes. Building takes tens of milliseconds, so callers do it on a
thread. All functions but :func:`raw_definitions` are pure.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

import orjson

from cloudcore.apiserver.http.openapicustom import LIST_META, OBJECT_META, custom_schemas
from cloudcore.apiserver.http.openapipaths import paths_of
from cloudcore.apiserver.http.openapiprotobuf import encode_document
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.schemas import KUBERNETES_VERSION
from cloudcore.errors import NotFound

Document = dict[str, Any]

_REF = "#/$defs/"
_V2 = "#/definitions/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_ALWAYS = tuple(_META + name for name in ("DeleteOptions", "Status", "Patch", "APIResourceList"))
_INT_OR_STRING = {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
_QUANTITY = {"oneOf": [{"type": "string"}, {"type": "number"}]}


class OpenApi:
    """The documents of one table of kinds.

    Args:
        kinds: All kinds that have objects.
        reviews: The kinds that are asked and not kept.
    """

    def __init__(self, kinds: Iterable[Kind], reviews: Iterable[Kind] = ()) -> None:
        self._table = kinds
        self._reviews = tuple(reviews)
        # With what each was built from: custom kinds come, change and go.
        self._built: dict[str, tuple[tuple[Kind, ...], bytes]] = {}

    @property
    def _kinds(self) -> tuple[Kind, ...]:
        return (*self._table, *self._reviews)

    def index(self) -> Document:
        """Return ``/openapi/v3``: where each group-version's document is, with a hash to cache it by."""
        rows: dict[str, list[Kind]] = {}
        for kind in self._kinds:
            rows.setdefault(_location(kind), []).append(kind)
        return {
            "paths": {
                name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={_digest(kinds)}"} for name, kinds in rows.items()
            }
        }

    def v3(self, location: str) -> bytes:
        """Return the gzip-compressed document of a group-version (``api/v1``, ``apis/apps/v1``).

        Raises:
            NotFound: There is no such group-version.
        """
        rows = tuple(kind for kind in self._kinds if _location(kind) == location)
        if not rows:
            raise NotFound("the server could not find the requested resource")
        return self._document(location, rows, _document_v3)

    def v2(self) -> bytes:
        """Return the gzip-compressed OpenAPI 2 document of all kinds."""
        return self._document("", self._kinds, _document_v2)

    def v2_protobuf(self) -> bytes:
        """Return the gzip-compressed OpenAPI 2 document of all kinds, as protobuf."""
        return self._document("protobuf", self._kinds, _document_v2, encode_document)

    def _document(
        self,
        name: str,
        rows: tuple[Kind, ...],
        build: Callable[[Iterable[Kind]], Document],
        encode: Callable[[Document], bytes] = orjson.dumps,
    ) -> bytes:
        made_of, document = self._built.get(name, ((), b""))
        if made_of != rows:
            document = gzip.compress(encode(build(rows)), 6, mtime=0)
            self._built[name] = (rows, document)
        return document


def _digest(kinds: Iterable[Kind]) -> str:
    """Return what changes when the document of these kinds does."""
    said = [[kind.kind, dict(kind.custom.schema) if kind.custom else None] for kind in kinds]
    return hashlib.sha256(KUBERNETES_VERSION.encode() + orjson.dumps(said)).hexdigest()[:16].upper()


def _location(kind: Kind) -> str:
    return f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"


def raw_definitions() -> dict[str, Document]:
    """Read the definitions of the pinned Kubernetes version, descriptions included. Not kept."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES_VERSION}-local"
    definitions: dict[str, Document] = orjson.loads((folder / "_definitions.json").read_bytes())["$defs"]
    return definitions


_INFO = {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"}


def _document_v3(kinds: Iterable[Kind]) -> Document:
    schemas = _schemas(kinds, "#/components/schemas/")
    for name in (_META + "Time", _META + "MicroTime"):
        schemas.setdefault(name, {"type": "string", "format": "date-time"})
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": paths_of(kinds, schema_name, v3=True),
        "components": {"schemas": schemas},
    }


def _document_v2(kinds: Iterable[Kind]) -> Document:
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths_of(kinds, schema_name, v3=False),
        "definitions": _schemas(kinds, _V2),
    }


def schema_name(kind: Kind) -> str:
    """Return the name of a kind's definition, ours included."""
    if kind.schema:
        return kind.schema
    reverse = ".".join(reversed(kind.group.split("."))) if kind.group else "io.k8s.api.core"
    return f"{reverse}.{kind.version}.{kind.kind}"


def _schemas(kinds: Iterable[Kind], prefix: str) -> Document:
    raw = raw_definitions()
    kinds = tuple(kinds)
    roots = [name for kind in kinds for name in _roots(kind)]
    found = {name: convert(raw[name], prefix) for name in reachable(raw, [*_ALWAYS, *roots])}
    for kind in kinds:
        if kind.custom is not None:
            found.update(custom_schemas(kind, schema_name(kind), prefix))
        for suffix in ("", "List") if "list" in kind.verbs else ("",):
            found.setdefault(schema_name(kind) + suffix, _open_schema(kind, suffix, v2=prefix == _V2))
    for schema in found.values():
        if "$ref" in schema:
            schema.pop("description", None)
        for name in ("apiVersion", "kind"):  # the definitions know an object's kind; Kubernetes' documents do not say
            (schema.get("properties") or {}).get(name, {}).pop("enum", None)
    return found


def _roots(kind: Kind) -> list[str]:
    others = [f"io.k8s.api.{sub.group.split('.')[0] or 'core'}.{sub.version}.{sub.kind}" for sub in kind.subresources]
    name = schema_name(kind)
    return [name, f"{name}List", *others, *((OBJECT_META, LIST_META) if kind.custom is not None else ())]


def _open_schema(kind: Kind, suffix: str, *, v2: bool) -> Document:
    """Return the schema of a kind that has none: anything goes below the type and metadata.

    Version 2 has no word for that, and kubectl takes what is listed there for all there is: it lists nothing.
    """
    known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {
        "type": "object",
        "description": f"{kind.kind}{suffix} of {kind.api_version}.",
        **({} if v2 else {"properties": known}),
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-group-version-kind": [
            {"group": kind.group, "version": kind.version, "kind": kind.kind + suffix},
        ],
    }


def reachable(raw: dict[str, Document], roots: Iterable[str]) -> list[str]:
    """Return the names of the definitions that ``roots`` lead to, sorted; roots that do not exist are left out."""
    reached: set[str] = set()
    waiting = [name for name in roots if name in raw]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _references(raw[name])
    return sorted(reached)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix(_REF)] if isinstance(node.get("$ref"), str) else []
    return own + [name for item in node.values() for name in _references(item)]


def convert(node: Any, prefix: str) -> Any:
    """Return a JSON Schema node as OpenAPI writes it.

    ``null`` leaves the types (OpenAPI has no null type), and a reference with siblings moves into ``allOf``.

    Args:
        node: The schema, or a part of it.
        prefix: What references start with in the document: ``#/components/schemas/``.
    """
    if isinstance(node, list):
        return [convert(item, prefix) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and isinstance(node["$ref"], str):
        return _reference(node, prefix)
    if "oneOf" in node and all(set(choice) == {"type"} for choice in node["oneOf"]):
        return _choice(node, prefix)
    # A property may be called "type": its value is a schema, where the keyword's is a word or a list of them.
    return {
        key: _type(value) if key == "type" and not isinstance(value, dict) else convert(value, prefix)
        for key, value in node.items()
    }


def _reference(node: Document, prefix: str) -> Document:
    target = {"$ref": prefix + node["$ref"].removeprefix(_REF)}
    siblings = {key: value for key, value in node.items() if key != "$ref"}
    if not siblings:
        return target
    if prefix == _V2:
        return {**target, **siblings}
    return {"allOf": [target], **siblings}


def _choice(node: Document, prefix: str) -> Document:
    types = [kind for choice in node["oneOf"] for kind in _types(choice["type"])]
    if prefix == _V2:  # no oneOf there: the format says that it may be a number
        written = {"type": "string"} | ({"format": "int-or-string"} if "integer" in types else {})
        return ({"description": node["description"]} if "description" in node else {}) | written
    shape = _INT_OR_STRING if "integer" in types else _QUANTITY
    described = {"description": node["description"]} if "description" in node else {}
    return {**described, **shape}


def _types(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if each != "null"]


def _type(value: Any) -> str:
    types = _types(value)
    return types[0] if types else "object"
