"""What pods on devices ask of the API through their node: the verbs, as their service accounts, each write once.

A request names who asks; the hub has seen to it that this is a pod of the node. It is authorised and admitted as if
the pod itself had come, at the time it comes. A write that names a content version applies only where nothing but
the status has changed since. So that a repeat does nothing twice, a write leaves its id on the object it writes
(annotation :data:`WRITTEN`), in the same step, and is made against the very revision that was looked at. Answers are
remembered as well, for writes that leave nothing: deletions and statuses.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final, cast

import orjson

from cloudcore.apiserver import failures
from cloudcore.apiserver.apply import apply
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.delete import delete, read_options
from cloudcore.apiserver.get import get
from cloudcore.apiserver.http.access import attributes_of
from cloudcore.apiserver.http.authn import AUTHENTICATED, User
from cloudcore.apiserver.http.authz import Authorizer, forbidden
from cloudcore.apiserver.http.bodies import decode_object
from cloudcore.apiserver.http.negotiation import patch_type
from cloudcore.apiserver.http.query import Query
from cloudcore.apiserver.http.status import failure
from cloudcore.apiserver.list import ListOptions, list_objects
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.podrequest import PodRequest
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import put
from cloudcore.client import PatchType
from cloudcore.errors import AlreadyExists, ApiError, BadRequest, Conflict, MethodNotAllowed, NotFound
from cloudcore.errors import RequestEntityTooLarge as TooLarge
from cloudcore.security.accounttokens import account_groups
from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.resourcepaths import ResourcePath, parse_path

WRITTEN: Final = "edge.aiokubeedge.io/written-by-request"
"""Annotation: the id of the last request of a pod on a device that wrote the object."""
MAX_ANSWER_BYTES: Final = 1 << 20
_ATTEMPTS: Final = 8
_REMEMBERED: Final = 2048
_READS: Final = frozenset({"get", "list"})
_VERBS: Final = frozenset({"create", "update", "patch", "delete"}) | _READS


class PodRequests:
    """Carries out what pods ask.

    Args:
        registry: What verbs work on.
        authorizer: Decides what accounts may do.
    """

    def __init__(self, registry: Registry, authorizer: Authorizer) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._answers: OrderedDict[tuple[str, str], Body] = OrderedDict()

    async def perform(self, request: PodRequest) -> Body:
        """Return the answer: ``code``, ``body`` (an object, or a ``Status``) and ``version``.

        Raises:
            ApiError: The cloud's own trouble: to be asked again.
        """
        known = self._answers.get((request.uid, request.id))
        if known is not None:
            return known
        try:
            answer = await self._perform(request)
        except ApiError as error:
            if error.code == 429 or error.code >= 500:
                raise
            answer = {"code": error.code, "body": failure(error), "version": 0}
        if request.verb not in _READS:
            self._answers[request.uid, request.id] = answer
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    async def _perform(self, request: PodRequest) -> Body:
        if isinstance(request.body, bytes):
            request = replace(request, body=decode_object(request.body, request.content_type))
        place = parse_path(request.path)
        if place is None or not place.resource or request.verb not in _VERBS:
            raise NotFound("the server could not find the requested resource")
        name = "" if request.verb in {"create", "list"} and not place.subresource else place.name
        target, context = self._target(place, name), self._context(request, place)
        context.require(request.verb)
        if request.verb == "get":
            return _answer(200, await get(self._registry, target))
        if request.verb == "list":
            return await self._list(request, target)
        if request.verb == "delete":
            return await self._delete(request, target, context)
        if request.verb == "create":
            return await self._create(request, target, context)
        return await self._change(request, target, context)

    def _target(self, place: ResourcePath, name: str) -> Target:
        kind = self._registry.kinds.at(place.group, place.version, place.resource)
        if kind.conversion is not None:
            raise BadRequest(f"devices speak of {place.resource} in its stored version only")
        if kind.namespaced != bool(place.namespace) or place.subresource not in {"", "status"}:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return Target(kind, place.namespace, name, place.subresource)

    def _context(self, request: PodRequest, place: ResourcePath) -> Context:
        name = f"system:serviceaccount:{request.namespace}:{request.account}"
        user = User(name, (*account_groups(request.namespace), AUTHENTICATED))
        query = Query(request.query)

        def require(verb: str) -> None:
            attributes = attributes_of(place, query, verb)
            decision = self._authorizer.authorize(user, attributes)
            if not decision.allowed:
                raise forbidden(user, attributes, decision)

        return Context(
            user.name,
            user.groups,
            query.dry_run,
            query.field_validation,
            query.text("fieldManager") or "edge-pod",
            require=require,
        )

    async def _list(self, request: PodRequest, target: Target) -> Body:
        query = Query(request.query)
        options = ListOptions(
            label_selector=query.text("labelSelector"),
            field_selector=query.text("fieldSelector"),
            limit=query.number("limit") or 0,
            continue_token=query.text("continue"),
        )
        page = await list_objects(self._registry, target, options)
        if sum(len(record.tail) for record in page.records) > MAX_ANSWER_BYTES:
            raise TooLarge(f"the list is over {MAX_ANSWER_BYTES} bytes: ask with a limit")
        kind, metadata = target.kind, {"resourceVersion": str(page.revision)}
        version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        items = [_shown(record) for record in page.records]
        body = {"kind": f"{kind.kind}List", "apiVersion": version, "metadata": metadata, "items": items}
        return {"code": 200, "body": body, "version": 0}

    async def _create(self, request: PodRequest, target: Target, context: Context) -> Body:
        body = _object(request.body)
        key = Target(target.kind, target.namespace, str((body.get("metadata") or {}).get("name", ""))).key
        body = _marked(body, request.id)
        try:
            return _answer(201, await create(self._registry, target, body, context))
        except AlreadyExists:
            record = await self._stored(Target(target.kind, key.namespace, key.name))
            if record is not None and _mark_of(record) == request.id:
                return _answer(201, record)
            raise

    async def _delete(self, request: PodRequest, target: Target, context: Context) -> Body:
        options: Body = {name: value for name, value in _object(request.body).items() if name != "preconditions"}
        query = Query(request.query)
        if (grace_s := query.number("gracePeriodSeconds")) is not None:
            options.setdefault("gracePeriodSeconds", grace_s)
        if policy := query.text("propagationPolicy"):
            options.setdefault("propagationPolicy", policy)
        if request.object_uid:
            options["preconditions"] = {"uid": request.object_uid}
        if request.version and (record := await self._stored(target)) is not None:
            _require_unchanged(request, target, record)
            options.setdefault("preconditions", {})["resourceVersion"] = str(record.revision)
        deletion = await delete(self._registry, target, context, read_options(options))
        return {"code": 200, "body": _shown(deletion.record), "version": 0}

    async def _change(self, request: PodRequest, target: Target, context: Context) -> Body:
        """Write against the very revision that is looked at, so that a repeat cannot overtake the first."""
        whole = not target.subresource
        for _ in range(_ATTEMPTS):
            record = await self._stored(target)
            if record is not None:
                if whole and _mark_of(record) == request.id:
                    return _answer(200, record)
                _require_unchanged(request, target, record)
            body = _versioned(_marked(request.body, request.id, record) if whole else request.body, record)
            try:
                written, created = await self._write(request, target, body, context)
            except Conflict:
                now = await self._stored(target)
                if record is None or now is None or now.revision == record.revision:
                    raise
                continue
            return _answer(201 if created else 200, written)
        raise failures.conflict(target.kind, target.name)

    async def _write(self, request: PodRequest, target: Target, body: Any, context: Context) -> tuple[Record, bool]:
        if request.verb == "update":
            return await put(self._registry, target, _object(body), context)
        kind = patch_type(request.content_type)
        if kind == "apply":
            force = Query(request.query).flag("force")
            return await apply(self._registry, target, _object(body), context, force=force)
        return await patch(self._registry, target, body, context, kind=cast(PatchType, kind)), False

    async def _stored(self, target: Target) -> Record | None:
        try:
            return await self._registry.store.get(target.key)
        except NotFound:
            return None


def _require_unchanged(request: PodRequest, target: Target, record: Record) -> None:
    """Check that an object is still as the writer saw it.

    Raises:
        Conflict: It is not.
    """
    if request.object_uid not in ("", record.uid) or request.version not in (0, record.content_revision):
        raise failures.conflict(target.kind, target.name)


def _answer(code: int, record: Record) -> Body:
    return {"code": code, "body": _shown(record), "version": record.content_revision}


def _shown(record: Record) -> Body:
    body: Body = record.decode()
    return body


def _object(body: Any) -> Body:
    if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
        raise BadRequest("the object provided is unrecognized: the body must be an object")
    copied: Body = orjson.loads(orjson.dumps(body))
    return copied


def _marked(body: Any, request_id: str, record: Record | None = None) -> Any:
    """Return a body, or a patch, that leaves the request's id on what it writes."""
    if isinstance(body, list):
        has = record is not None and bool(record.decode()["metadata"].get("annotations"))
        path = f"/metadata/annotations/{WRITTEN.replace('/', '~1')}" if has else "/metadata/annotations"
        value: Any = request_id if has else {WRITTEN: request_id}
        return [*body, {"op": "add", "path": path, "value": value}]
    marked = _object(body)
    metadata = marked.setdefault("metadata", {})
    annotations = metadata.get("annotations")
    metadata["annotations"] = {**(annotations if isinstance(annotations, dict) else {}), WRITTEN: request_id}
    return marked


def _versioned(body: Any, record: Record | None) -> Any:
    """Return a body, or a patch, that applies to the revision of ``record`` only."""
    if record is None:
        return body
    if isinstance(body, list):
        return [*body, {"op": "add", "path": "/metadata/resourceVersion", "value": str(record.revision)}]
    versioned = _object(body)
    versioned.setdefault("metadata", {})["resourceVersion"] = str(record.revision)
    return versioned


def _mark_of(record: Record) -> str:
    return str((record.decode()["metadata"].get("annotations") or {}).get(WRITTEN, ""))
