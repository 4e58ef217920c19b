"""The least of OpenAPI that clients look for: which kinds there are, and that the server validates fields. Sans-IO.

kubectl validates what it sends itself, by schemas that a device does not have, unless the patch of a kind says that
it takes ``fieldValidation``: then it leaves that to the server, here the cloud.
"""

from __future__ import annotations

from edgecore.metaserver.kinds import KINDS, Kind
from protocol.objects.keys import Body

_ROOT = "/openapi/v3"
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]


def openapi(path: str) -> Body | None:
    """Return what stands at a path below ``/openapi``; None where nothing does."""
    if path == _ROOT:
        places = sorted({_place(kind) for kind in KINDS})
        return {"paths": {place: {"serverRelativeURL": f"{_ROOT}/{place}?hash=1"} for place in places}}
    if path == "/openapi/v2":
        return {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": {}}
    place = path.removeprefix(f"{_ROOT}/")
    kinds = [kind for kind in KINDS if _place(kind) == place]
    if not kinds:
        return None
    paths = {_path(kind): {"patch": _patch(kind)} for kind in kinds}
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": {}}}


_INFO = {"title": "aiokubeedge", "version": "v1"}


def _place(kind: Kind) -> str:
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.api_version}"


def _path(kind: Kind) -> str:
    within = "namespaces/{namespace}/" if kind.namespaced else ""
    return f"/{_place(kind)}/{within}{kind.plural}/{{name}}"


def _patch(kind: Kind) -> Body:
    return {
        "parameters": _PARAMETERS,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    }
