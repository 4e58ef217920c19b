"""Metadata rules common to all kinds: what the server sets, what a client may not change.

Source: Kubernetes' ``registry/rest`` create and update strategies.
"""

from __future__ import annotations

from copy import deepcopy

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body

_SERVER_SET = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
)
_TYPE_AND_METADATA = frozenset({"apiVersion", "kind", "metadata"})
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def address(target: Target, body: Body, version: Kind | None = None) -> None:
    """Make the body agree with the request's path: kind, version, namespace, name.

    Args:
        target: What the path says.
        body: The object.
        version: The version it is in, where that is not the one that is kept.

    Raises:
        BadRequest: It says something else than the path.
    """
    kind = version or target.kind
    given = (body.setdefault("apiVersion", kind.api_version), body.setdefault("kind", kind.kind))
    if given != (kind.api_version, kind.kind):
        raise BadRequest(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            f"the body is a {given[1]} of {given[0]}"
        )
    metadata = body["metadata"]
    if kind.namespaced:
        if metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    elif metadata.pop("namespace", ""):
        raise BadRequest("namespace is not allowed on cluster-scoped objects")
    if target.name and metadata.setdefault("name", target.name) != target.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )


def prepare_create(registry: Registry, kind: Kind, body: Body) -> str:
    """Set the metadata of a new object and drop what a client may not choose. Return its new uid.

    Raises:
        BadRequest: A resourceVersion is set.
    """
    metadata = body["metadata"]
    if metadata.pop("resourceVersion", ""):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    for name in _SERVER_SET:
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = registry.generated_name(metadata["generateName"])
    uid = registry.new_uid()
    metadata["uid"] = uid
    metadata["creationTimestamp"] = registry.now()
    if kind.generation:
        metadata["generation"] = 1
    if kind.status and not kind.status_at_create:
        body.pop("status", None)
        if kind.first_status is not None:
            body["status"] = deepcopy(dict(kind.first_status))
    return uid


def prepare_update(target: Target, body: Body, old: Body) -> None:
    """Restore in ``body`` what a client may not change, and count a changed spec.

    Raises:
        Conflict: It names another uid.
    """
    kind, metadata, before = target.kind, body["metadata"], old["metadata"]
    uid = metadata.get("uid")
    if uid and uid != before["uid"]:
        raise failures.conflict(
            kind,
            before["name"],
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}",
        )
    for name in _KEPT:
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)
    metadata["resourceVersion"] = before["resourceVersion"]
    metadata.pop("managedFields", None)
    metadata.pop("selfLink", None)
    if kind.status:
        if "status" in old:
            body["status"] = old["status"]
        else:
            body.pop("status", None)
    if not target.subresource:
        kind.prepare_update(body, old)


def count_generation(kind: Kind, body: Body, old: Body) -> None:
    """Raise ``metadata.generation`` if anything but metadata and a status of its own differs."""
    if kind.generation and _content(kind, body) != _content(kind, old):
        body["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _content(kind: Kind, body: Body) -> Body:
    outside = _TYPE_AND_METADATA | {"status"} if kind.status else _TYPE_AND_METADATA
    return {key: value for key, value in body.items() if key not in outside}
