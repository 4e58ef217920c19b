"""Which kinds the server has: discovery documents in the older form and the aggregated one. Sans-IO."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudcore.apiserver.kinds.kind import Kind, Subresource
from cloudcore.errors import NotFound

Document = dict[str, Any]


def api_versions(server_address: str) -> Document:
    """Return ``/api``: the versions of the core group."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def group_list(kinds: Iterable[Kind]) -> Document:
    """Return ``/apis``: all groups but the core group."""
    groups = [_group(name, list(versions)) for name, versions in _versions(kinds).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(kinds: Iterable[Kind], name: str) -> Document:
    """Return ``/apis/<group>``.

    Raises:
        NotFound: There is no such group.
    """
    versions = _versions(kinds).get(name)
    if not versions or not name:
        raise NotFound("the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))}


def resource_list(kinds: Iterable[Kind], group_name: str, version: str) -> Document:
    """Return ``/api/v1`` or ``/apis/<group>/<version>``: the resources of one group-version.

    Raises:
        NotFound: There is no such group-version.
    """
    rows = _versions(kinds).get(group_name, {}).get(version)
    if not rows:
        raise NotFound("the server could not find the requested resource")
    resources = [entry for kind in rows for entry in _resources(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": _group_version(group_name, version),
        "resources": resources,
    }


def aggregated(kinds: Iterable[Kind], *, core: bool, version: str) -> Document:
    """Return all groups with their resources in one document (KEP-3352).

    Args:
        kinds: All kinds.
        core: The core group (``/api``) rather than the others (``/apis``).
        version: Version of ``apidiscovery.k8s.io`` to write: ``v2`` or ``v2beta1``, which are alike.
    """
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": each, "resources": [_aggregated_resource(kind) for kind in rows], "freshness": "Current"}
                for each, rows in versions.items()
            ],
        }
        for name, versions in _versions(kinds).items()
        if core == (not name)
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _versions(kinds: Iterable[Kind]) -> dict[str, dict[str, list[Kind]]]:
    """Return group → version → kinds, in the order given."""
    groups: dict[str, dict[str, list[Kind]]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
    return groups


def _group_version(group_name: str, version: str) -> str:
    return f"{group_name}/{version}" if group_name else version


def _group(name: str, versions: list[str]) -> Document:
    entries = [{"groupVersion": _group_version(name, version), "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(kind: Kind) -> list[Document]:
    main: Document = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    return [main, *(_subresource(kind, sub) for sub in kind.subresources)]


def _subresource(kind: Kind, sub: Subresource) -> Document:
    entry: Document = {
        "name": f"{kind.plural}/{sub.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": sub.kind,
        "verbs": list(sub.verbs),
    }
    if (sub.group, sub.version) != (kind.group, kind.version):
        entry |= {"group": sub.group, "version": sub.version}
    return entry


def _response_kind(row: Kind | Subresource) -> Document:
    return {"group": row.group, "version": row.version, "kind": row.kind}


def _aggregated_resource(kind: Kind) -> Document:
    entry: Document = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [
            {"subresource": sub.name, "responseKind": _response_kind(sub), "verbs": list(sub.verbs)}
            for sub in kind.subresources
        ]
    return entry
