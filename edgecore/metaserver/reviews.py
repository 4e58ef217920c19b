"""``kubectl auth can-i`` and ``whoami``: what the asking pod may do, answered from its rules on the device. Sans-IO."""

from __future__ import annotations

import json
from typing import Any, Protocol

from edgecore.metaserver.access import PodIdentity
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.http11 import Request
from protocol.objects.keys import Body
from protocol.objects.resourcepaths import ResourcePath

_CAN_I = ("selfsubjectaccessreviews.authorization.k8s.io", "v1")
_WHO_AM_I = ("selfsubjectreviews.authentication.k8s.io", "v1")


class Rights(Protocol):
    """Decides on requests."""

    def may(
        self,
        identity: PodIdentity,
        verb: str,
        resource: str,
        namespace: str = "",
        name: str = "",
        *,
        subresource: str = "",
    ) -> bool:
        """Tell whether ``identity`` may do this."""


def review(identity: PodIdentity, rights: Rights, place: ResourcePath, request: Request) -> Body | None:
    """Answer a question of ``identity`` about itself; None where the request is none.

    Raises:
        Failure: The question cannot be read.
    """
    asked = (place.group_resource, place.version)
    if asked not in {_CAN_I, _WHO_AM_I} or place.name or request.method != "POST":
        return None
    if asked == _WHO_AM_I:
        user = {"username": identity.username, "uid": identity.uid, "groups": list(identity.groups)}
        return {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": {"userInfo": user}}
    spec = _spec(request.body)
    about = spec.get("resourceAttributes")
    allowed = isinstance(about, dict) and _allowed(identity, rights, about)
    shape = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
    return {**shape, "spec": spec, "status": {"allowed": allowed}}


def _spec(body: bytes) -> dict[str, Any]:
    try:
        spec = json.loads(body)["spec"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure("BadRequest", f"the object provided is unrecognized: {error!r}") from error
    if not isinstance(spec, dict):
        raise Failure("BadRequest", "the object provided is unrecognized: spec must be an object")
    return spec


def _allowed(identity: PodIdentity, rights: Rights, about: dict[str, Any]) -> bool:
    text = {name: str(about.get(name) or "") for name in ("verb", "group", "resource", "namespace", "name")}
    resource = f"{text['resource']}.{text['group']}" if text["group"] else text["resource"]
    subresource = str(about.get("subresource") or "")
    return rights.may(identity, text["verb"], resource, text["namespace"], text["name"], subresource=subresource)
