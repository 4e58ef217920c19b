"""Who asks, and may they: authentication, impersonation and authorisation of one request."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from aiohttp import web

from cloudcore.apiserver.http.authn import Authenticator, Credentials, User
from cloudcore.apiserver.http.authz import Attributes, Authorizer, forbidden, required_of
from cloudcore.apiserver.http.impersonation import PREFIX, impersonation_of
from cloudcore.apiserver.http.query import Query
from cloudcore.errors import Unauthorized
from protocol.objects.resourcepaths import ResourcePath

log = structlog.get_logger(__name__)

_NAMED_BY_SELECTOR = frozenset({"list", "watch", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Access:
    """Lets requests in or turns them away.

    Attributes:
        authenticator: Turns credentials into users.
        authorizer: Decides what users may do.
    """

    authenticator: Authenticator
    authorizer: Authorizer

    def user_of(self, request: web.BaseRequest) -> User:
        """Return whom a request is to be taken for.

        Raises:
            Unauthorized: It shows no credentials, or none that are good.
            Forbidden: It wants to act as somebody its sender may not act as.
            BadRequest: It wants to act as nobody in particular.
            ConnectionResetError: The client has gone.
        """
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        tls = transport.get_extra_info("ssl_object")
        credentials = Credentials(
            certificate=transport.get_extra_info("peercert") or {},
            der=lambda: None if tls is None else tls.getpeercert(True),
            authorization=request.headers.get("Authorization", ""),
        )
        user = self.authenticator.authenticate(credentials)
        if user is None:
            raise Unauthorized("Unauthorized")
        if any(name.lower().startswith(PREFIX) for name in request.headers):
            return self._impersonated(user, request)
        return user

    def _impersonated(self, user: User, request: web.BaseRequest) -> User:
        wanted = impersonation_of(request.headers.items())
        if wanted is None:
            return user
        for question in wanted.questions():
            self.require(user, question)
        log.debug("impersonated", user=user.name, as_user=wanted.name)
        return wanted.user

    def require(self, user: User, attributes: Attributes) -> None:
        """Let ``user`` do what ``attributes`` say.

        Raises:
            Forbidden: It may not.
        """
        decision = self.authorizer.authorize(user, attributes)
        if not decision.allowed:
            what = attributes.path or attributes.group_resource
            log.info("forbidden", user=user.name, verb=attributes.verb, resource=what, name=attributes.name)
            raise forbidden(user, attributes, decision)


def attributes_of(place: ResourcePath, query: Query, verb: str) -> Attributes:
    """Return what a request for a resource would do."""
    selector = query.text("fieldSelector")
    name, namespace = place.name, place.namespace
    if not name and verb in _NAMED_BY_SELECTOR and selector:
        name = required_of(selector, "metadata.name")
    if place.resource == "namespaces" and not place.group and place.name:
        namespace = place.name  # a namespace is in itself: who may do something within it may be let see it
    return Attributes(verb, place.resource, place.group, namespace, name, place.subresource, selector)
