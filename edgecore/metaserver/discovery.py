"""Which kinds there are: discovery documents in the older form and the aggregated one. Sans-IO."""

from __future__ import annotations

from edgecore.metaserver.failures import NO_SUCH_PATH, Failure
from edgecore.metaserver.kinds import KINDS, Kind
from protocol.objects.keys import Body

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]


def document(path: str, *, aggregated: str = "") -> Body | None:
    """Return what stands at a discovery path; None where it is none.

    Args:
        path: The decoded path.
        aggregated: Version of ``apidiscovery.k8s.io`` that the client wants; empty for the older form.

    Raises:
        Failure: There is no such group.
    """
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api"] | ["apis"] if aggregated:
            return _aggregated(core=parts[0] == "api", version=aggregated)
        case ["api"]:
            return {"kind": "APIVersions", "apiVersion": "v1", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(name) for name in _groups() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", name] if name in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}
        case ["apis", _]:
            raise Failure("NotFound", NO_SUCH_PATH)
        case ["api", version]:
            return _resources("", version)
        case ["apis", name, version]:
            return _resources(name, version)
    return None


def _groups() -> dict[str, list[Kind]]:
    groups: dict[str, list[Kind]] = {}
    for kind in KINDS:
        groups.setdefault(kind.group, []).append(kind)
    return groups


def _group(name: str) -> Body:
    version = _groups()[name][0].version
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _resources(group: str, version: str) -> Body:
    kinds = [kind for kind in _groups().get(group, ()) if kind.version == version]
    if not kinds:
        raise Failure("NotFound", NO_SUCH_PATH)
    resources = [entry for kind in kinds for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds[0].api_version,
        "resources": resources,
    }


def _entries(kind: Kind) -> list[Body]:
    main: Body = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if not kind.status:
        return [main]
    status = {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced}
    return [main, {**status, "kind": kind.kind, "verbs": _STATUS_VERBS}]


def _aggregated(*, core: bool, version: str) -> Body:
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": kinds[0].version,
                    "resources": [_aggregated_entry(kind) for kind in kinds],
                    "freshness": "Current",
                }
            ],
        }
        for name, kinds in _groups().items()
        if core == (not name)
    ]
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _aggregated_entry(kind: Kind) -> Body:
    response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    entry: Body = {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _VERBS,
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.status:
        entry["subresources"] = [{"subresource": "status", "responseKind": response, "verbs": _STATUS_VERBS}]
    return entry
