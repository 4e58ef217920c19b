"""From a CustomResourceDefinition to rows in the table of kinds: one per version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudcore.apiserver.custom.jsonpath import parse
from cloudcore.apiserver.custom.version import CustomVersion
from cloudcore.apiserver.kinds.kind import ALL_VERBS, SCALE, Conversion, Kind, Subresource
from protocol.objects.keys import Body

_VERSION: Final = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")
_WITHOUT_CREATE: Final = tuple(verb for verb in ALL_VERBS if verb != "create")


def rows_of(definition: Body) -> tuple[Kind, ...]:
    """Return the rows of a definition whose names are accepted; most stable version first.

    The row of the storage version is there also when that version is not served: objects are kept under it.
    """
    spec = definition["spec"]
    versions = sorted(spec["versions"], key=lambda version: stability(version["name"]), reverse=True)
    kept = next(version for version in versions if version.get("storage"))
    stored = _row(definition, kept, None)
    rows = []
    for version in versions:
        if version is kept:
            rows.append(stored)
        elif version.get("served"):
            rows.append(_row(definition, version, _renamed(stored, spec["group"], version["name"])))
    return tuple(rows)


def stability(name: str) -> tuple[int, int, int, str]:
    """Return a key by which versions sort as Kubernetes ranks them: v2 > v1 > v1beta1 > v1alpha1 > anything else."""
    match = _VERSION.fullmatch(name)
    if match is None:
        return (-1, 0, 0, name)
    major, stage, minor = match.groups()
    return ({None: 2, "beta": 1, "alpha": 0}[stage], int(major), int(minor or 0), "")


def _renamed(stored: Kind, group: str, version: str) -> Conversion:
    """Return the conversion ``None``: versions differ in nothing but their name."""
    served = f"{group}/{version}"

    def outward(body: Body) -> Body:
        return {**body, "apiVersion": served} if body.get("kind") == stored.kind else body  # a Scale is no such object

    return Conversion(stored, inward=lambda body: {**body, "apiVersion": stored.api_version}, outward=outward)


def _row(definition: Body, version: Mapping[str, Any], conversion: Conversion | None) -> Kind:
    spec = definition["spec"]
    names = definition["status"]["acceptedNames"]
    custom = CustomVersion(version)
    has_status = "status" in (version.get("subresources") or {})
    paths = [parse(each["jsonPath"]).names for each in version.get("selectableFields") or ()]
    return Kind(
        kind=names["kind"],
        plural=names["plural"],
        group=spec["group"],
        version=version["name"],
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=_WITHOUT_CREATE if definition["metadata"].get("deletionTimestamp") else ALL_VERBS,
        subresources=_subresources(names["kind"], spec["group"], version),
        fields={".".join(path): "" for path in paths},
        status=has_status,
        generation=True,
        conversion=conversion,
        served=bool(version.get("served")),
        custom=custom,
        defined=True,
        deprecation=_deprecation(definition, version),
        defaults=custom.default,
        validate=custom.check,
        validate_update=custom.check_update,
        validate_status=custom.check_update,
        ratchets=True,
    )


def _subresources(kind: str, group: str, version: Mapping[str, Any]) -> tuple[Subresource, ...]:
    given = version.get("subresources") or {}
    status = Subresource(name="status", kind=kind, group=group, version=version["name"])
    return tuple(row for row, name in ((status, "status"), (SCALE, "scale")) if name in given)


def _deprecation(definition: Body, version: Mapping[str, Any]) -> str:
    spec = definition["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    if not version.get("deprecated"):
        webhook = (spec.get("conversion") or {}).get("strategy") == "Webhook" and not version.get("storage")
        told = f"{group}/{version['name']} {kind} is converted by name alone: conversion webhooks are not called yet"
        return told if webhook else ""
    return version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated"
