"""Rules and defaults of CustomResourceDefinitions.

Source: Kubernetes ``apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudcore.apiserver.custom import schemas
from cloudcore.apiserver.custom.jsonpath import BadPath, parse
from cloudcore.apiserver.custom.keywords import drop_nulls
from cloudcore.apiserver.custom.names import ESTABLISHED, is_true, names_of
from cloudcore.apiserver.custom.pruning import prune
from cloudcore.apiserver.custom.structural import check_structural
from cloudcore.apiserver.custom.version import has_rules
from cloudcore.apiserver.validation.fields import forbidden, invalid, not_supported, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_APPROVAL: Final = "api-approved.kubernetes.io"
_PROTECTED: Final = ("k8s.io", "kubernetes.io")
_COLUMN_TYPES: Final = frozenset({"boolean", "date", "integer", "number", "string"})
_MOST_SELECTABLE: Final = 8
_SELECTABLE_TYPES: Final = frozenset({"boolean", "integer", "string"})


def default_definition(body: Body) -> None:
    """Fill the absent fields of a CustomResourceDefinition."""
    spec = body["spec"]
    spec.setdefault("conversion", {"strategy": "None"})
    if isinstance(spec.get("names"), dict):
        spec["names"] = names_of(body)
    for version in spec["versions"]:
        drop_nulls((version.get("schema") or {}).get("openAPIV3Schema"))


def check_definition(body: Body) -> list[Cause]:
    """Return what is wrong with a CustomResourceDefinition."""
    spec = body["spec"]
    causes = [*_check_names(body), *_check_scope(spec), *_check_group(body), *_check_versions(spec)]
    for index, version in enumerate(spec["versions"]):
        causes += _check_version(version, f"spec.versions[{index}]")
    if spec.get("preserveUnknownFields"):
        causes.append(
            invalid(
                "spec.preserveUnknownFields",
                True,
                "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                "spec.versions[*].schema instead",
            )
        )
    return causes


def check_definition_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed CustomResourceDefinition: its objects must stay where they are."""
    spec, before = body["spec"], old["spec"]
    causes = []
    fixed = [("spec.group", spec["group"], before["group"])]
    fixed.append(("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural")))
    if is_true(old, ESTABLISHED):
        fixed.append(("spec.scope", spec["scope"], before["scope"]))
        fixed.append(("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind")))
    causes += [invalid(path, new, "field is immutable") for path, new, was in fixed if new != was]
    present = {version["name"] for version in spec["versions"]}
    for index, name in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if name not in present:
            causes.append(invalid(f"status.storedVersions[{index}]", name, "must appear in spec.versions"))
    return causes


def _check_names(body: Body) -> Iterator[Cause]:
    spec, names = body["spec"], body["spec"]["names"]
    if body["metadata"].get("name") != f"{names.get('plural')}.{spec['group']}":
        yield invalid("metadata.name", body["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    for name in ("plural", "singular", "kind", "listKind"):
        value, path = str(names.get(name) or ""), f"spec.names.{name}"
        if not value:
            yield required(path)
        elif name in {"kind", "listKind"}:
            for cause in check_name("service", path, value.lower()):
                why = cause.message.split(": ", 2)[-1]
                yield invalid(path, value, f"may have mixed case, but should otherwise match: {why}")
        else:
            yield from check_name("service", path, value)
    for word in ("shortNames", "categories"):
        for index, value in enumerate(names.get(word) or ()):
            yield from check_name("service", f"spec.names.{word}[{index}]", value)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")


def _check_scope(spec: Body) -> Iterator[Cause]:
    if spec["scope"] not in {"Cluster", "Namespaced"}:
        yield not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
    strategy = (spec.get("conversion") or {}).get("strategy")
    if strategy not in {"None", "Webhook"}:
        yield not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))


def _check_group(body: Body) -> Iterator[Cause]:
    group = body["spec"]["group"]
    if not group:
        yield required("spec.group")
        return
    yield from check_name("subdomain", "spec.group", group)
    if "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    protected = any(group == domain or group.endswith(f".{domain}") for domain in _PROTECTED)
    if protected and not (body["metadata"].get("annotations") or {}).get(_APPROVAL):
        yield required(
            f"metadata.annotations[{_APPROVAL}]",
            f'protected groups must have approval annotation "{_APPROVAL}", see '
            "https://github.com/kubernetes/enhancements/pull/1111",
        )


def _check_versions(spec: Body) -> Iterator[Cause]:
    versions = spec["versions"]
    names = [version["name"] for version in versions]
    for index, name in enumerate(names):
        yield from check_name("service", f"spec.versions[{index}].name", name)
    if len(set(names)) != len(names):
        yield invalid("spec.versions", names, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", names, "must have exactly one version marked as storage version")


def _check_version(version: Body, path: str) -> list[Cause]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    where = f"{path}.schema.openAPIV3Schema"
    if not isinstance(schema, dict):
        return [required(where, "schemas are required")]
    causes = check_structural(schema, where)
    causes += _check_scale((version.get("subresources") or {}).get("scale"), f"{path}.subresources.scale")
    causes += _check_columns(version.get("additionalPrinterColumns") or (), f"{path}.additionalPrinterColumns")
    if not causes:
        causes += _check_compiles(schema, where)
        causes += _check_selectable(version.get("selectableFields") or (), schema, f"{path}.selectableFields")
    return causes


def _check_compiles(schema: Mapping[str, Any], path: str) -> list[Cause]:
    """Check what needs a compiled schema: the schema itself, its defaults and its rules."""
    try:
        schemas.compile_schema(schema, resource=True)
    except ValueError as error:
        return [invalid(path, "", f"error building validator: {error}")]
    causes = list(_check_defaults(schema, path, root=True))
    if not causes and has_rules(schema):
        from cloudcore.apiserver.custom.rules import check_rules  # noqa: PLC0415 - see CustomVersion._rules

        causes += check_rules(schema, path)
    return causes


def _check_defaults(schema: Mapping[str, Any], path: str, *, root: bool = False) -> Iterator[Cause]:
    if root and "default" in schema:
        yield forbidden(f"{path}.default", "must not be set at the root")
    elif "default" in schema:
        yield from _check_default(schema, f"{path}.default")
    for name, each in (schema.get("properties") or {}).items():
        yield from _check_defaults(each, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _check_defaults(schema[word], f"{path}.{word}")


def _check_default(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    value = schema["default"]
    for error in schemas.find_errors(schemas.compile_schema(schema), value):
        suffix = schemas.path_text(error.node)
        yield Cause(error.cause.reason, error.cause.message, path if suffix == "<nil>" else f"{path}.{suffix}")
    if isinstance(value, dict):
        unknown = prune(schema, dict(value)) if not schema.get("x-kubernetes-embedded-resource") else []
        for each in unknown:
            yield invalid(f"{path}.{each}", value, "must not have unknown fields")


def _check_scale(scale: Any, path: str) -> Iterator[Cause]:
    if not isinstance(scale, dict):
        return
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."), ("labelSelectorPath", "")):
        value = scale.get(name) or ""
        if not value:
            if root:
                yield required(f"{path}.{name}")
            continue
        roots = (root,) if root else (".status.", ".spec.")
        if not value.startswith(roots) or not _names(value):
            yield invalid(f"{path}.{name}", value, f"should be a json path under {' or '.join(r[:-1] for r in roots)}")


def _names(path: str) -> tuple[str, ...]:
    try:
        return parse(path).names
    except BadPath:
        return ()


def _check_columns(columns: Any, path: str) -> Iterator[Cause]:
    for index, column in enumerate(columns):
        where = f"{path}[{index}]"
        if not column.get("name"):
            yield required(f"{where}.name")
        if column.get("type") not in _COLUMN_TYPES:
            yield not_supported(f"{where}.type", column.get("type"), _COLUMN_TYPES)
        try:
            parse(column.get("jsonPath") or "")
        except BadPath as error:
            yield invalid(f"{where}.jsonPath", column.get("jsonPath"), str(error))


def _check_selectable(fields: Any, schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if len(fields) > _MOST_SELECTABLE:
        yield Cause("FieldValueTooMany", f"Too many: {len(fields)}: must have at most {_MOST_SELECTABLE} items", path)
    for index, each in enumerate(fields):
        where, text = f"{path}[{index}].jsonPath", each.get("jsonPath") or ""
        node: Any = schema
        for name in _names(text):
            node = (node.get("properties") or {}).get(name) or {}
        if not _names(text) or not node:
            yield invalid(where, text, "is an invalid path: does not refer to a valid field")
        elif node.get("type") not in _SELECTABLE_TYPES:
            yield invalid(where, text, "must point to a field of type string, boolean or integer")
