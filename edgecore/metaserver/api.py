"""The Kubernetes API of the device: from a request to its answer. Reads no socket.

Order: path, token, right, verb. Reads come from the store and from what is true on the device; writes go to the cloud,
or wait for it (:mod:`edgecore.metaserver.passage`). What the slice cannot hold, and a single object that it does not,
is asked of the cloud while it can be reached.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from edgecore.hub.requests import NotReached
from edgecore.metaserver import reviews
from edgecore.metaserver.access import PodIdentity
from edgecore.metaserver.changes import Changes
from edgecore.metaserver.discovery import document
from edgecore.metaserver.failures import NO_SUCH_PATH, Failure, not_found
from edgecore.metaserver.history import encoded, facets_of
from edgecore.metaserver.http11 import Request
from edgecore.metaserver.kinds import BY_RESOURCE, Kind
from edgecore.metaserver.objects import Objects
from edgecore.metaserver.openapi import openapi
from edgecore.metaserver.passage import Passage
from edgecore.metaserver.selection import Selection, selection_of
from edgecore.metaserver.tables import partial, table
from edgecore.metaserver.targets import WRITE_VERBS, Query, split_target
from edgecore.metaserver.watching import Watch, watch_of
from edgecore.metaserver.writing import author_of, reading, write_of
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resourcepaths import ResourcePath, parse_path, verb_of

YIELD_AFTER: Final = 50
"""Objects of a list that are encoded between two turns of the event loop."""
_READS: Final = frozenset({"GET", "HEAD"})
_HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz"})
_QUEUED: Final = {"create": 202, "delete": 202}


class Rights(reviews.Rights, Protocol):
    """Who asks, and may they (:class:`edgecore.metaserver.access.Access`)."""

    def who(self, bearer: str, now: float) -> PodIdentity | None:
        """Return who shows this token."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where times come from.

    Attributes:
        monotonic: Seconds on the event loop's clock.
        wall: Seconds since the epoch.
        rng: Spreads what many would do at once.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    rng: Random


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        code: The HTTP code.
        body: What is sent; of a watch, nothing.
        headers: Beside the usual ones.
        stream: The chunks of a watch; None for an answer that is whole.
        watcher: Whose watch it is, for the bound on them; empty where it is none.
    """

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    watcher: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    request: Request
    identity: PodIdentity
    place: ResourcePath
    query: Query
    verb: str
    form: str

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.place.group_resource, self.place.namespace, self.place.name)


class Api:
    """Answers requests.

    Args:
        objects: What the device knows.
        changes: What has changed.
        passage: The way of writes.
        rights: Decides on each request.
        clocks: Where times come from.
        version: This project's version.
    """

    def __init__(
        self, objects: Objects, changes: Changes, passage: Passage, rights: Rights, *, clocks: Clocks, version: str
    ) -> None:
        self._objects = objects
        self._changes = changes
        self._passage = passage
        self._rights = rights
        self._clocks = clocks
        self._version = version

    async def answer(self, request: Request) -> Response:
        """Answer a request; whatever is wrong with it is an answer, too."""
        try:
            return await self._answer(request)
        except Failure as failure:
            return failed(failure)
        except RecursionError:
            return failed(Failure("BadRequest", "the object nests too deep"))

    async def _answer(self, request: Request) -> Response:
        path, query = _split(request.target)
        if path in _HEALTH and request.method in _READS:
            return Response(200, b"ok", {"Content-Type": "text/plain; charset=utf-8"})
        identity = self._who(request)
        place = parse_path(path)
        if place is None or not place.resource:
            return self._document(request, path)
        answered = reviews.review(identity, self._rights, place, request)
        if answered is not None:
            return _json(201, answered)
        verb = verb_of(request.method, place, watch=request.method in _READS and query.flag("watch"))
        if verb is None:
            raise Failure("MethodNotAllowed", "the server does not allow this method on the requested resource")
        self._require(identity, verb, place, query)
        call = _Call(request, identity, place, query, verb, request.headers.get("accept", ""))
        if verb in WRITE_VERBS:
            return await self._write(call)
        if verb == "deletecollection":
            raise Failure("MethodNotAllowed", "this device deletes one object at a time")
        return await self._read(call)

    def _who(self, request: Request) -> PodIdentity:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        identity = self._rights.who(bearer, self._clocks.monotonic()) if bearer else None
        if identity is None:
            raise Failure("Unauthorized", "Unauthorized")
        return identity

    def _require(self, identity: PodIdentity, verb: str, place: ResourcePath, query: Query) -> None:
        name = place.name
        if not name and verb in {"list", "watch"}:
            selector = query.text("fieldSelector")
            name = selector.removeprefix("metadata.name=") if selector.startswith("metadata.name=") else ""
        allowed = self._rights.may(
            identity, verb, place.group_resource, place.namespace, name, subresource=place.subresource
        )
        if allowed:
            return
        what = f'resource "{place.resource}{"/" if place.subresource else ""}{place.subresource}"'
        where = f' in the namespace "{place.namespace}"' if place.namespace else " at the cluster scope"
        named = f' "{place.name}"' if place.name else ""
        raise Failure(
            "Forbidden",
            f"{place.resource}{'.' if place.group else ''}{place.group}{named} is forbidden: "
            f'User "{identity.username}" cannot {verb} {what} in API group "{place.group}"{where}',
            details={"name": place.name, "group": place.group, "kind": place.resource},
        )

    def _document(self, request: Request, path: str) -> Response:
        if request.method not in _READS:
            raise Failure("MethodNotAllowed", "the server does not allow this method on the requested resource")
        if path == "/version":
            return _json(200, _version(self._version))
        if path.startswith("/openapi/") and (described := openapi(path)) is not None:
            return _json(200, described)
        wanted = _aggregated(request.headers.get("accept", ""))
        found = document(path, aggregated=wanted)
        if found is None:
            raise Failure("NotFound", NO_SUCH_PATH)
        form = f";g=apidiscovery.k8s.io;v={wanted};as=APIGroupDiscoveryList"
        return _json(200, found, form=form if found["kind"] == "APIGroupDiscoveryList" else "")

    # Reads

    async def _read(self, call: _Call) -> Response:
        place, kind = call.place, BY_RESOURCE.get(call.place.group_resource)
        served = kind is not None and place.version == kind.version
        if call.verb == "get":
            if served and place.subresource in ("", "status") and (body := self._objects.get(call.key)) is not None:
                return self._one(call, BY_RESOURCE[place.group_resource], body)
            return await self._passed_on(call)
        if not served or kind is None:
            if call.verb == "watch":
                raise Failure("NotFound", f"{NO_SUCH_PATH}: this device does not hold {place.group_resource}")
            return await self._passed_on(call)
        if place.namespace and not kind.namespaced:
            raise Failure("NotFound", NO_SUCH_PATH)
        if call.verb == "watch":
            return self._watch(call, kind)
        return await self._list(call, kind)

    def _one(self, call: _Call, kind: Kind, body: Body) -> Response:
        revision = self._changes.history.revision_of(call.key)
        if "as=Table" in call.form:
            return _json(200, self._table(kind, [_versioned(body, revision)], str(revision), call.query))
        if "as=PartialObjectMetadata" in call.form:
            return _json(200, partial(_versioned(body, revision)))
        return Response(200, encoded(body, revision), _JSON)

    async def _list(self, call: _Call, kind: Kind) -> Response:
        selection = selection_of(kind, call.place, call.query)
        self._require_known(call.query)
        revision = self._changes.history.revision
        found = [each async for each in self._selected(selection)]
        if "as=Table" in call.form:
            return _json(200, self._table(kind, found, str(revision), call.query))
        metadata = {"resourceVersion": str(revision)}
        if "as=PartialObjectMetadataList" in call.form:
            items = [partial(body) for body in found]
            shape = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return _json(200, {**shape, "metadata": metadata, "items": items})
        head = json.dumps({"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata})
        parts = []
        for index, body in enumerate(found, 1):
            parts.append(_dumped(body))
            if index % YIELD_AFTER == 0:
                await asyncio.sleep(0)
        return Response(200, b'%b,"items":[%b]}' % (head[:-1].encode(), b",".join(parts)), _JSON)

    async def _selected(self, selection: Selection) -> AsyncIterator[Body]:
        history = self._changes.history
        for index, (key, body) in enumerate(self._objects.list(selection.resource, selection.namespace), 1):
            if selection.selects_key(key) and selection.selects(facets_of(key, body)):
                yield _versioned(body, history.revision_of(key))
            if index % YIELD_AFTER == 0:
                await asyncio.sleep(0)

    def _require_known(self, query: Query) -> None:
        """Turn away whoever wants a list as of a moment that this device does not know."""
        wanted = query.number("resourceVersion")
        if query.text("continue"):
            raise Failure("Expired", "this device gives whole lists: list again from the beginning")
        if wanted > self._changes.history.revision or query.text("resourceVersionMatch") == "Exact":
            self._changes.history.since(wanted)
            raise Failure("Expired", "this device keeps no older lists: list again")

    def _table(self, kind: Kind, found: Iterable[Body], revision: str, query: Query) -> Body:
        include = query.text("includeObject")
        return table(kind, list(found), revision, self._clocks.wall(), include=include)

    def _watch(self, call: _Call, kind: Kind) -> Response:
        selection = selection_of(kind, call.place, call.query)
        watch: Watch = watch_of(call.query, self._clocks.rng)
        as_table = "as=Table" in call.form

        def shown(data: bytes, *, first: bool) -> bytes:
            if not as_table:
                return data
            body = json.loads(data)
            revision = body["metadata"]["resourceVersion"]
            include = call.query.text("includeObject")
            return _dumped(table(kind, [body], revision, self._clocks.wall(), include=include, headers=first))

        current = [
            (key, encoded(body, self._changes.history.revision_of(key)))
            for key, body in (self._objects.list(kind.resource, selection.namespace) if watch.initial else ())
            if selection.selects_key(key) and selection.selects(facets_of(key, body))
        ]
        stream = self._changes.stream(selection, watch, current, shown, kind)
        watcher = call.identity.uid or call.identity.username
        return Response(200, b"", {**_JSON, "Cache-Control": "no-cache, private"}, stream, watcher)

    async def _passed_on(self, call: _Call) -> Response:
        """Ask the cloud for what the device does not hold."""
        place = call.place
        missing = (
            not_found(place.resource, place.group, place.name) if place.name else Failure("NotFound", NO_SUCH_PATH)
        )
        if not self._passage.connected or call.identity.administrator:
            raise missing
        try:
            answer = await self._passage.ask(reading(call.identity, call.verb, call.request, call.key, call.query))
        except NotReached:
            raise missing from None
        return _json(answer.code, answer.body)

    # Writes

    async def _write(self, call: _Call) -> Response:
        if call.query.text("dryRun") and not self._passage.connected:
            raise Failure("ServiceUnavailable", "a dry run needs the cloud, which cannot be reached", retry_after_s=30)
        author = author_of(call.identity)
        shown = self._objects.get(call.key) if call.place.name else None
        held = self._objects.base_of(call.key)
        revision = self._changes.history.revision_of(call.key)
        write = write_of(
            call.request,
            (call.verb, call.place, call.query),
            author,
            seen=(shown, revision, *self._passage.seen(call.key, *held)),
            now=self._clocks.wall(),
        )
        local = write.verb == "create" and self._objects.get(write.key) is not None
        if local and not self._passage.connected:
            raise Failure("AlreadyExists", f'{call.place.resource} "{write.key.name}" already exists')
        if write.verb != "create" and not self._passage.connected and shown is None:
            raise not_found(call.place.resource, call.place.group, call.place.name)
        after = self._objects.after(write) if shown is not None or write.verb == "create" else None
        answer = await self._passage.submit(write)
        if answer is not None:
            return _json(answer.code, answer.body)
        return self._queued(write.verb, write.key, after, write.id)

    def _queued(self, verb: str, key: ObjectKey, after: Body | None, write_id: str) -> Response:
        """Tell a writer that its write waits: the object as it would be, and a warning."""
        warning = {"Warning": f'299 - "the cloud cannot be reached: queued on the device as {write_id}"'}
        body = self._objects.get(key) or after
        if body is None or verb == "delete":
            details = {"name": key.name, "kind": key.resource.partition(".")[0]}
            shape = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return _json(_QUEUED.get(verb, 200), shape, headers=warning)
        revision = self._changes.history.revision_of(key)
        return _json(_QUEUED.get(verb, 200), _versioned(body, revision), headers=warning)


_JSON: Final = {"Content-Type": "application/json"}


def failed(failure: Failure) -> Response:
    """Return the answer that tells a failure."""
    headers = {"Retry-After": str(failure.retry_after_s)} if failure.retry_after_s else {}
    return _json(failure.code, failure.status(), headers=headers)


def _json(code: int, body: Any, *, form: str = "", headers: Mapping[str, str] | None = None) -> Response:
    return Response(code, _dumped(body), {"Content-Type": f"application/json{form}", **(headers or {})})


def _dumped(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _versioned(body: Body, revision: int) -> Body:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(revision)}}


def _split(target: str) -> tuple[str, Query]:
    try:
        return split_target(target)
    except ValueError as error:  # more parameters than anybody needs
        raise Failure("BadRequest", str(error)) from error


def _aggregated(accept: str) -> str:
    if "as=APIGroupDiscoveryList" not in accept:
        return ""
    return "v2" if "v=v2;" in accept + ";" or "v=v2," in accept else "v2beta1"


def _version(version: str) -> Body:
    return {
        "major": "1",
        "minor": "33",
        "gitVersion": f"v1.33.0+aiokubeedge-edge-{version}",
        "platform": "linux",
    }
