"""From a request to a write that can wait. Sans-IO but for the ids, which come from the system's randomness."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final
from uuid import uuid4

from edgecore.metaserver.access import PodIdentity
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.http11 import Request
from edgecore.metaserver.targets import Query
from edgecore.metaserver.writes import Author, Write
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resourcepaths import ResourcePath
from protocol.objects.times import timestamp

_PASSED_ON: Final = ("fieldManager", "fieldValidation", "force", "dryRun", "gracePeriodSeconds", "propagationPolicy")
_SELECTORS: Final = ("labelSelector", "fieldSelector", "limit", "continue")
_PATCHES: Final[dict[str, type[Any]]] = {
    "application/json-patch+json": list,
    "application/merge-patch+json": dict,
    "application/strategic-merge-patch+json": dict,
    "application/apply-patch+yaml": dict,
}
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
Seen = tuple[Body | None, int, str, int]
"""What the writer may have seen: the object as shown, its revision here, its uid, its content version."""


def author_of(identity: PodIdentity) -> Author:
    """Return who writes."""
    return Author(identity.namespace, identity.service_account, identity.pod, identity.uid)


def reading(identity: PodIdentity, verb: str, request: Request, key: ObjectKey, query: Query) -> Write:
    """Return what asks the cloud for an object or a list; it never waits on disk."""
    passed = {name: query.text(name) for name in _SELECTORS if query.text(name)}
    path = request.target.partition("?")[0]
    return Write(str(uuid4()), 0.0, author_of(identity), verb, path, key, query=passed)


def write_of(
    request: Request, asked: tuple[str, ResourcePath, Query], author: Author, *, seen: Seen, now: float
) -> Write:
    """Return the write that a request asks for.

    Args:
        request: The request.
        asked: Its verb, path and query.
        author: Whose it is.
        seen: What its writer may have seen.
        now: Seconds since the epoch.

    Raises:
        Failure: It cannot be read, or its writer has not seen the newest state.
    """
    verb, place, query = asked
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _body(verb, request, content_type)
    key = ObjectKey(place.group_resource, place.namespace, place.name)
    if verb == "create" and not place.subresource and isinstance(body, dict):
        key = key._replace(name=_named(body, now))
    uid, version = _preconditions(verb, body, place, seen)
    return Write(
        str(uuid4()),
        now,
        author,
        verb,
        request.target.partition("?")[0],
        key,
        subresource=place.subresource,
        content_type=content_type,
        query={name: query.text(name) for name in _PASSED_ON if query.text(name)},
        body=body,
        uid=uid,
        version=version,
        size=len(request.body),
    )


def _body(verb: str, request: Request, content_type: str) -> Any:
    if verb == "delete" and not request.body:
        return {}
    if content_type == PROTOBUF:
        return request.body  # for the cloud, which has the schemas
    if verb == "patch":
        wanted: type[Any] | None = _PATCHES.get(content_type)
        if wanted is None:
            raise Failure("UnsupportedMediaType", f"accepted media types include: {', '.join(_PATCHES)}")
    elif content_type not in {"application/json", ""}:
        raise Failure("UnsupportedMediaType", "this device takes application/json")
    else:
        wanted = dict
    try:
        body: Any = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Failure("BadRequest", f"the object provided is unrecognized: json parse error: {error}") from error
    if type(body) is not wanted:
        raise Failure("BadRequest", "the object provided is unrecognized: it is of another shape")
    if isinstance(body, dict) and not isinstance(body.get("metadata", {}), dict):
        raise Failure("BadRequest", "the object provided is unrecognized: metadata must be an object")
    return body


def _named(body: Body, now: float) -> str:
    """Return the name of an object to be created, giving it one where it wants one, and an age."""
    metadata = body.setdefault("metadata", {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = str(metadata["generateName"]) + "".join(secrets.choice(_ALPHABET) for _ in range(5))
    metadata.setdefault("creationTimestamp", timestamp(now))
    if not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise Failure("Invalid", "metadata.name: Required value: name or generateName is required")
    return str(metadata["name"])


def _preconditions(verb: str, body: Any, place: ResourcePath, seen: Seen) -> tuple[str, int]:
    """Take the versions of this device out of a write, and return the uid and content version they stand for.

    Raises:
        Failure: The writer has seen an older state, or another object.
    """
    shown, revision, uid, version = seen
    if verb == "create" or shown is None or not isinstance(body, dict):
        return "", 0
    holder = body.get("preconditions") if verb == "delete" else body.get("metadata")
    holder = holder if isinstance(holder, dict) else {}
    named, named_uid = holder.pop("resourceVersion", None), holder.pop("uid", None)
    if named_uid and uid and named_uid != uid:
        raise Failure("Conflict", _conflict(place, f"the UID in the precondition ({named_uid}) is not {uid}"))
    if named and str(named) != str(revision):
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise Failure("Conflict", _conflict(place, why))
    pinned = uid if verb == "delete" or named or named_uid else ""
    return pinned, version if named else 0


def _conflict(place: ResourcePath, why: str) -> str:
    return f'Operation cannot be fulfilled on {place.group_resource} "{place.name}": {why}'
