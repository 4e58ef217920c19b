"""The ``paths`` of the OpenAPI documents: which operations each kind has, for clients that look before they ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cloudcore.apiserver.http.negotiation import PATCH_TYPES
from cloudcore.apiserver.kinds.kind import Kind, Subresource

Document = dict[str, Any]
SchemaName = Callable[[Kind], str]

_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_COLLECTION = (("list", "get", "list"), ("create", "post", "post"), ("deletecollection", "delete", "deletecollection"))
_ITEM = (("get", "get", "get"), ("update", "put", "put"), ("patch", "patch", "patch"), ("delete", "delete", "delete"))
_SUBRESOURCE = (
    ("get", "get", "get"),
    ("create", "post", "post"),
    ("update", "put", "put"),
    ("patch", "patch", "patch"),
    ("delete", "delete", "delete"),
)
_WRITE_QUERY = ("dryRun", "fieldManager", "fieldValidation")
_QUERY = {
    "list": (
        "allowWatchBookmarks",
        "continue",
        "fieldSelector",
        "labelSelector",
        "limit",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "timeoutSeconds",
        "watch",
    ),
    "post": _WRITE_QUERY,
    "put": _WRITE_QUERY,
    "patch": (*_WRITE_QUERY, "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"),
    "deletecollection": ("continue", "dryRun", "fieldSelector", "gracePeriodSeconds", "labelSelector", "limit"),
}


def paths_of(kinds: Iterable[Kind], schema_name: SchemaName, *, v3: bool) -> Document:
    """Return the ``paths`` object for ``kinds``.

    Args:
        kinds: The kinds to describe.
        schema_name: Names a kind's schema.
        v3: OpenAPI 3 rather than 2.
    """
    paths: Document = {}
    for kind in kinds:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
        describe = _Describer(kind, schema_name(kind), v3)
        paths[base] = describe.path(_COLLECTION, base)
        paths[f"{base}/{{name}}"] = describe.path(_ITEM, f"{base}/{{name}}")
        for row in kind.subresources:
            place = f"{base}/{{name}}/{row.name}"
            paths[place] = describe.subresource(row, place)
        if kind.namespaced and "list" in kind.verbs:
            across = _Describer(kind, schema_name(kind), v3, "ForAllNamespaces")
            paths[f"{root}/{kind.plural}"] = across.path(_COLLECTION[:1], root)
    return {path: item for path, item in paths.items() if len(item) > 1}


class _Describer:
    """Writes the path items of one kind."""

    def __init__(self, kind: Kind, schema: str, v3: bool, suffix: str = "", row: Subresource | None = None) -> None:
        self._kind = kind
        # What travels: of a subresource its own kind. kubectl takes any PATCH of a kind to tell whether the server
        # validates fields, and what is passed on to a pod's proxy says nothing of that.
        body = kind if row is None or row.kind == kind.kind else row
        self._body = {"group": body.group, "kind": body.kind, "version": body.version}
        self._suffix = suffix
        self._schema = schema
        self._v3 = v3

    def _item(self, path: str) -> Document:
        names = [name for name in ("namespace", "name") if f"{{{name}}}" in path]
        return {"parameters": [self._parameter(name, "path", required=True) for name in names]}

    def path(self, operations: Iterable[tuple[str, str, str]], path: str) -> Document:
        """Return a path item with those of ``operations`` (verb, method, action) that the kind has."""
        item = self._item(path)
        for verb, method, action in operations:
            if verb in self._kind.verbs:
                item[method] = self._operation(action)
        return item

    def subresource(self, row: Subresource, path: str) -> Document:
        """Return the path item of a subresource."""
        item = self._item(path)
        describe = _Describer(self._kind, self._schema_of(row), self._v3, row.name.title(), row)
        for verb, method, action in _SUBRESOURCE:
            if verb in row.verbs:
                item[method] = describe._streamed(action) if row.streamed else describe._operation(action)
        return item

    def _schema_of(self, row: Subresource) -> str:
        """Return the name of the schema of a subresource's bodies: its kind's own, or another's."""
        if row.kind == self._kind.kind:
            return self._schema
        return f"io.k8s.api.{row.group.split('.')[0] or 'core'}.{row.version}.{row.kind}"

    def _streamed(self, action: str) -> Document:
        """Return an operation whose body and answer are a stream of any kind."""
        operation = {**self._operation("get"), "x-kubernetes-action": "connect"}
        operation["operationId"] = operation["operationId"].replace("get", f"connect{action.title()}", 1)
        answer: Document = {"description": "OK"}
        answer |= {"content": {"*/*": {"schema": {"type": "string"}}}} if self._v3 else {"schema": {"type": "string"}}
        return {**operation, "responses": {"200": answer}}

    def _operation(self, action: str) -> Document:
        kind = self._kind
        name = f"{kind.group.title().replace('.', '')}{kind.version.title()}{kind.kind}{self._suffix}"
        operation: Document = {
            "operationId": f"{action}{name}",
            "parameters": [self._parameter(name, "query") for name in _QUERY.get(action, ())],
            "responses": {"200": self._response(action)},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self._body,
        }
        self._add_body(operation, action)
        return operation

    def _add_body(self, operation: Document, action: str) -> None:
        if action not in {"post", "put", "patch"}:
            return
        types = self._patch_types() if action == "patch" else ["*/*"]
        schema = {"type": "object"} if action == "patch" else self._reference(self._schema)
        if self._v3:
            operation["requestBody"] = {"content": {each: {"schema": schema} for each in types}, "required": True}
        else:
            operation["consumes"] = types
            operation["parameters"].append({"name": "body", "in": "body", "required": True, "schema": schema})

    def _patch_types(self) -> list[str]:
        """Return the kinds of patch there are; kubectl takes from here whether it may send a strategic one."""
        return [each for each, kind in PATCH_TYPES.items() if self._kind.schema or kind != "strategic"]

    def _response(self, action: str) -> Document:
        name = {"list": f"{self._schema}List", "delete": _STATUS, "deletecollection": _STATUS}.get(action, self._schema)
        schema = self._reference(name)
        if self._v3:
            return {"description": "OK", "content": {"application/json": {"schema": schema}}}
        return {"description": "OK", "schema": schema}

    def _reference(self, name: str) -> Document:
        return {"$ref": ("#/components/schemas/" if self._v3 else "#/definitions/") + name}

    def _parameter(self, name: str, where: str, *, required: bool = False) -> Document:
        parameter: Document = {"name": name, "in": where}
        if required:
            parameter["required"] = True
        if self._v3:
            return parameter | {"schema": {"type": "string", "uniqueItems": True}}
        return parameter | {"type": "string", "uniqueItems": True}
