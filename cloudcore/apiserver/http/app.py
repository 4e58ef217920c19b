"""The HTTP application: from a request to a verb, and from whatever goes wrong to a ``Status``.

Order: path, credentials, permission, room for one more request, kind, form, verb. A request is one task of the
connection's; nothing here is shared between requests but the counters of those in flight.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import orjson
import structlog
from aiohttp import web

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.http import reads, writes
from cloudcore.apiserver.http.access import Access, attributes_of
from cloudcore.apiserver.http.authn import Authenticator, CertificateAuthenticator, User
from cloudcore.apiserver.http.authz import Attributes, Authorizer, MastersAuthorizer
from cloudcore.apiserver.http.bodies import read_object
from cloudcore.apiserver.http.call import Call, Handler
from cloudcore.apiserver.http.documents import Documents
from cloudcore.apiserver.http.health import Check
from cloudcore.apiserver.http.managers import field_manager
from cloudcore.apiserver.http.negotiation import negotiate
from cloudcore.apiserver.http.query import Query, split_target
from cloudcore.apiserver.http.rendering import renderer_of
from cloudcore.apiserver.http.responses import respond_failure, respond_object
from cloudcore.apiserver.http.reviews import (
    REVIEW_KINDS,
    REVIEWERS,
    NoRules,
    Question,
    RuleSource,
    TokenReviewer,
    no_tokens,
)
from cloudcore.apiserver.http.subresources import handle_action, handle_streamed, require_served
from cloudcore.apiserver.http.watchstream import WatchStreams
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.strategy import address
from cloudcore.apiserver.validation.decoding import decode
from cloudcore.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    TooManyRequests,
)
from protocol.objects.resourcepaths import ResourcePath, parse_path, verb_of

log = structlog.get_logger(__name__)

MAX_IN_FLIGHT: Final = 600
"""Requests worked on at a time, watches not counted; the next one is told to come back."""
MAX_PER_NODE: Final = 64
"""Requests of one node at a time, watches counted: no device may take the room of the others."""

_LOGGED_CHARACTERS: Final = 500

_REVIEWS: Final = {(kind.resource, kind.version): kind for kind in REVIEW_KINDS}
_VERBS: Mapping[str, Handler] = {
    "get": reads.handle_get,
    "list": reads.handle_list,
    "watch": reads.handle_watch,
    "create": writes.handle_create,
    "update": writes.handle_update,
    "patch": writes.handle_patch,
    "delete": writes.handle_delete,
    "deletecollection": writes.handle_delete_collection,
}
_ACROSS_NAMESPACES: Final = frozenset({"list", "watch"})


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What the application is made of.

    Attributes:
        registry: What verbs work on.
        authenticator: Turns credentials into users.
        authorizer: Decides what users may do.
        rules: Lists what users may do.
        tokens: Looks at tokens.
        readiness: Checks behind ``/readyz``, by name.
        exposition: Returns what ``/metrics`` shows; None: there is no such path.
        max_in_flight: Requests worked on at a time, watches not counted.
    """

    registry: Registry
    authenticator: Authenticator = field(default_factory=CertificateAuthenticator)
    authorizer: Authorizer = field(default_factory=MastersAuthorizer)
    rules: RuleSource = field(default_factory=NoRules)
    tokens: TokenReviewer = no_tokens
    readiness: Mapping[str, Check] = field(default_factory=dict)
    exposition: Callable[[], bytes] | None = None
    max_in_flight: int = MAX_IN_FLIGHT


class App:
    """The application; :class:`cloudcore.apiserver.http.server.ApiServer` serves it.

    Args:
        settings: Its parts.
    """

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._registry = settings.registry
        self._access = Access(settings.authenticator, settings.authorizer)
        self._documents = Documents(
            settings.registry.kinds, settings.readiness, settings.registry.tokens, exposition=settings.exposition
        )
        self._in_flight = 0
        self._of_nodes: Counter[str] = Counter()
        self.streams = WatchStreams()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request. Raises only what ends the connection."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return respond_failure(request, error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except web.RequestPayloadError as error:
            return respond_failure(request, BadRequest(f"the body cannot be read: {error}"))
        except (RecursionError, orjson.JSONEncodeError) as error:
            # Deeper than this process follows, or than JSON is written: nothing was stored.
            return respond_failure(request, BadRequest(f"the object provided is unrecognized: {error}"))
        except Exception:
            log.exception("request failed", method=request.method, path=request.raw_path[:_LOGGED_CHARACTERS])
            return respond_failure(request, InternalError("Internal error occurred: see the server's log"))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = split_target(request.raw_path)
        public = self._documents.public(request, path, query)
        if public is not None:
            return public
        user = self._access.user_of(request)
        place = parse_path(path)
        if place is None or not place.resource:
            self._access.require(user, Attributes(request.method.lower(), "", path=path))
            return await self._documents.serve(request, path, query)
        return await self._resource(request, place, query, user)

    async def _resource(
        self, request: web.BaseRequest, place: ResourcePath, query: Query, user: User
    ) -> web.StreamResponse:
        verb = verb_of(request.method, place, watch="watch" in query.values and query.flag("watch"))
        if verb is None:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        self._access.require(user, attributes_of(place, query, verb))
        with self._room(user.node, counted=verb != "watch"):
            return await self._perform(request, place, query, user, verb)

    @contextmanager
    def _room(self, node: str, *, counted: bool) -> Iterator[None]:
        """Take up room for one more request; ``counted`` where it counts among all that are worked on.

        Raises:
            TooManyRequests: There is none.
        """
        full = counted and self._in_flight >= self._settings.max_in_flight
        if full or (node and self._of_nodes[node] >= MAX_PER_NODE):
            raise TooManyRequests("the server has received too many requests, please try again later", retry_after_s=1)
        self._in_flight += counted
        self._of_nodes[node] += 1
        try:
            yield
        finally:
            self._in_flight -= counted
            self._of_nodes[node] -= 1
            if not self._of_nodes[node]:
                del self._of_nodes[node]

    async def _perform(
        self, request: web.BaseRequest, place: ResourcePath, query: Query, user: User, verb: str
    ) -> web.StreamResponse:
        asked = _REVIEWS.get((place.group_resource, place.version))
        if asked is not None:
            _require_question(asked, place, verb)
            return await self._review(request, asked, place, query, user)
        kind = self._registry.kinds.at(place.group, place.version, place.resource)
        _require_scope(kind, place, verb)
        require_served(kind, place.subresource)
        return await _handler(kind, place, verb)(self._call(request, kind, place, query, user))

    async def _review(
        self, request: web.BaseRequest, kind: Kind, place: ResourcePath, query: Query, user: User
    ) -> web.StreamResponse:
        context, settings = Context(user.name, user.groups, field_validation=query.field_validation), self._settings
        body = await read_object(request, context=context)
        decode(self._registry.schemas, kind, body, context)
        address(Target(kind, place.namespace), body)
        question = Question(body, user, place.namespace, settings.authorizer, settings.rules, settings.tokens)
        answer = REVIEWERS[kind.resource](question)
        return respond_object(request, answer, status=201, warnings=context.warnings)

    def _call(self, request: web.BaseRequest, kind: Kind, place: ResourcePath, query: Query, user: User) -> Call:
        representation = negotiate(request.headers.get("Accept", ""))
        return Call(
            registry=self._registry,
            request=request,
            target=Target(
                kind.stored,
                place.namespace,
                place.name,
                place.subresource,
                version=kind if kind.conversion is not None else None,
            ),
            query=query,
            context=Context(
                user.name,
                user.groups,
                query.dry_run,
                query.field_validation,
                field_manager(query, request.headers.get("User-Agent", "")),
                warnings=[kind.deprecation] if kind.deprecation else [],
                uid=user.uid,
                extra=user.extra,
                require=lambda verb: self._access.require(user, attributes_of(place, query, verb)),
            ),
            representation=representation,
            renderer=renderer_of(
                kind,
                representation,
                include_object=query.text("includeObject"),
                clock=self._registry.clock,
                subresource=place.subresource,
            ),
            streams=self.streams,
        )


def _handler(kind: Kind, place: ResourcePath, verb: str) -> Handler:
    row = kind.subresource(place.subresource)
    if row is not None and row.streamed:
        if verb not in row.verbs:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return handle_streamed
    return handle_action if place.subresource and verb == "create" else _VERBS[verb]


def _require_question(kind: Kind, place: ResourcePath, verb: str) -> None:
    """Refuse everything but the asking: a review is kept nowhere, so none has a name or can be read back.

    Raises:
        NotFound: There is nothing at such a path.
        MethodNotAllowed: Only asking is possible there.
    """
    _require_scope(kind, place, verb)
    if place.name:
        raise NotFound("the server could not find the requested resource")
    if verb != "create":
        raise failures.not_allowed(kind, verb)


def _require_scope(kind: Kind, place: ResourcePath, verb: str) -> None:
    """Refuse a namespaced kind without a namespace, and the other way round.

    Raises:
        NotFound: There is nothing at such a path.
        MethodNotAllowed: The verb needs a namespace.
    """
    if not kind.namespaced and place.namespace:
        raise NotFound("the server could not find the requested resource")
    if kind.namespaced and not place.namespace and (verb not in _ACROSS_NAMESPACES or place.name):
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
