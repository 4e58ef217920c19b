"""The Kubernetes schemas of one pinned version, compiled kind by kind on first use.

The definitions come from ``kubernetes-validate``. A compiled kind holds only the definitions it reaches (124 for a
pod), so it costs milliseconds and little memory; compiling the whole document would cost seconds and tens of
megabytes. The compiled form is strict: it answers one question in microseconds, "is all of this known and well
typed?". Only where the answer is no is the object walked to say what is wrong (:mod:`.decoding`).
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

import jsonschema_rs
import orjson

from protocol.objects.keys import Body

KUBERNETES_VERSION: Final = "1.33.0"
"""The version whose kinds this API server speaks."""

_REF_PREFIX: Final = "#/$defs/"

Schema = dict[str, Any]

_TIME: Final = {
    "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$",
    "x-error": "parsing time: cannot parse as RFC 3339",
}
_FORMS: Final[dict[str, Schema]] = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": _TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": _TIME,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "pattern": r"^([+-]?(\d+(\.\d*)?|\.\d+))(([KMGTPE]i|[numkMGTPE])|[eE][+-]?\d{1,3})?$",
        "x-error": "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    },
}
"""What the document says of some types only in prose."""
_MAY_BE_ABSENT: Final[dict[str, frozenset[str]]] = {
    f"io.k8s.{name}": frozenset(fields)
    for name, *fields in (
        ("api.apps.v1.ControllerRevision", "revision"),
        ("api.batch.v1.PodFailurePolicy", "rules"),
        ("api.batch.v1.PodFailurePolicyOnPodConditionsPattern", "status"),
        ("api.core.v1.HTTPHeader", "value"),
        ("api.core.v1.ISCSIPersistentVolumeSource", "lun"),
        ("api.core.v1.ISCSIVolumeSource", "lun"),
        ("api.core.v1.LimitRangeSpec", "limits"),
        ("api.core.v1.Sysctl", "value"),
        ("api.discovery.v1.EndpointSlice", "endpoints"),
        ("api.networking.v1.NetworkPolicySpec", "podSelector"),
        ("api.rbac.v1.RoleRef", "apiGroup"),
        ("api.scheduling.v1.PriorityClass", "value"),
        ("api.storage.v1.CSIDriver", "spec"),
        ("api.storage.v1.CSINode", "spec"),
        ("api.storage.v1.CSINodeSpec", "drivers"),
        ("apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion", "strategy"),
        ("apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion", "served", "storage"),
    )
}
"""Fields that the document calls required, while Kubernetes takes an absent one: it has a default, or zero will do."""


class Schemas:
    """Definitions and compiled validators: the former are read, the latter made on demand, once per process."""

    def __init__(self) -> None:
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def accepts(self, name: str, body: Body) -> bool:
        """Tell whether ``body`` has only known fields, of the right types, and every required one."""
        validator = self._validators.get(name)
        if validator is None:
            validator = self._validators[name] = _compile(name)
        return validator.is_valid(body)

    def definition(self, name: str) -> Schema:
        """Return a definition by its full name; not to be changed."""
        return definitions()[name]


def type_name(definition: str) -> str:
    """Return the last part of a definition's name or reference: ``PodSpec``."""
    return definition.rpartition(".")[2]


def resolve(schema: Schema) -> Schema:
    """Follow a ``$ref``, keeping what stands beside it (patch directives)."""
    ref = schema.get("$ref")
    if ref is None:
        return schema
    return {**definitions()[ref.removeprefix(_REF_PREFIX)], **{k: v for k, v in schema.items() if k != "$ref"}}


@lru_cache(maxsize=1)
def definitions() -> dict[str, Schema]:
    """Return all definitions without their descriptions, which are most of the document."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES_VERSION}-local"
    document = orjson.loads((folder / "_definitions.json").read_bytes())
    tightened: dict[str, Schema] = _tighten(document["$defs"])
    for name, more in _FORMS.items():
        tightened[name].update(more)
    for name, absent in _MAY_BE_ABSENT.items():
        tightened[name]["required"] = [each for each in tightened[name]["required"] if each not in absent]
    return tightened


def _tighten(node: Any) -> Any:
    """Return a node without descriptions and nulls, with the bounds of its number format.

    Null stands for "absent" in Kubernetes' JSON; it is dropped from bodies before anything is stored.
    """
    if isinstance(node, list):
        return [_tighten(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {k: _tighten(v) for k, v in node.items() if not (k == "description" and isinstance(v, str))}
    if isinstance(kept.get("type"), list):
        kept["type"] = next(each for each in kept["type"] if each != "null")
    if kept.get("format") == "int32" and kept.get("type") == "integer":
        kept.update(minimum=-(2**31), maximum=2**31 - 1)
    return kept


@cache
def _compile(name: str) -> jsonschema_rs.Draft202012Validator:
    reached = _reach(name)
    outside_status = _reach(name, skip="status")
    document = {
        "$ref": _REF_PREFIX + name,
        "$defs": {each: _strict(definitions()[each], required=each in outside_status) for each in reached},
    }
    return jsonschema_rs.Draft202012Validator(document, validate_formats=False)


def _strict(definition: Schema, *, required: bool) -> Schema:
    """Return the definition closed to unknown fields.

    Inside a status nothing is required: the daemons that write it leave out zero values, as Go's encoder does.
    """
    strict = dict(definition)
    if "properties" in strict:
        strict["additionalProperties"] = False
    if not required:
        strict.pop("required", None)
    return strict


def _reach(root: str, skip: str = "") -> set[str]:
    """Return the names of the definitions that ``root`` uses, not looking into its property ``skip``."""
    top = dict(definitions()[root])
    top["properties"] = {key: value for key, value in top.get("properties", {}).items() if key != skip}
    reached, waiting = {root}, _references(top)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= _references(definitions()[name])
    return reached


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    ref = node.get("$ref")
    found = {ref.removeprefix(_REF_PREFIX)} if isinstance(ref, str) else set()
    return found.union(*map(_references, node.values()))
