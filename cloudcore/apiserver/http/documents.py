"""What the server says about itself: health, version, discovery, OpenAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiohttp import web

from cloudcore.apiserver.http import discovery
from cloudcore.apiserver.http.health import Check, report
from cloudcore.apiserver.http.negotiation import Representation, negotiate
from cloudcore.apiserver.http.openapi import OpenApi
from cloudcore.apiserver.http.query import Query
from cloudcore.apiserver.http.responses import respond_compressed, respond_object
from cloudcore.apiserver.http.reviews import REVIEW_KINDS
from cloudcore.apiserver.http.version import version_info
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import MethodNotAllowed, NotFound
from cloudcore.security.accounttokens import TokenIssuer

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"
Exposition = Callable[[], bytes]
"""Returns the metrics in Prometheus' text form."""

_PROTOBUF: Final = (
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
)
"""The type of the OpenAPI 2 document in protobuf: as it is answered, and as clients ask for it, which is no type that
Go's clients could read in an answer."""
_HEALTH: Final = ("healthz", "livez", "readyz")
_CONFIGURATION: Final = [".well-known", "openid-configuration"]
_KEYS: Final = ["openid", "v1", "jwks"]


class Documents:
    """Serves the documents.

    Args:
        kinds: All kinds.
        readiness: Checks behind ``/readyz``, by name.
        exposition: Returns what ``/metrics`` shows, if that is served.
        tokens: Issues service-account tokens; None where there are none to be had.
    """

    def __init__(
        self,
        kinds: Iterable[Kind],
        readiness: Mapping[str, Check],
        tokens: TokenIssuer | None = None,
        *,
        exposition: Exposition | None = None,
    ) -> None:
        self._tokens = tokens
        self._table = kinds
        self._readiness = readiness
        self._exposition = exposition
        self._openapi = OpenApi(kinds, REVIEW_KINDS)

    @property
    def _kinds(self) -> tuple[Kind, ...]:
        """All kinds as they are now: custom ones come and go."""
        return (*self._table, *REVIEW_KINDS)

    def public(self, request: web.BaseRequest, path: str, query: Query) -> web.Response | None:
        """Answer what anyone may ask, without credentials; None for everything else."""
        if path.rstrip("/") == "/version":  # generated clients ask for /version/
            return respond_object(request, version_info())
        name, _, check = path[1:].partition("/")
        return self._health(name, check, query) if name in _HEALTH else None

    def _health(self, name: str, check: str, query: Query) -> web.Response:
        checks = self._readiness if name == "readyz" else {}
        if check and check != "ping":
            if check not in checks:
                raise NotFound("the server could not find the requested resource")
            checks = {check: checks[check]}
        status, text = report(name, checks, verbose="verbose" in query.values, excluded=query.text("exclude"))
        return web.Response(status=status, text=text)

    async def serve(self, request: web.BaseRequest, path: str, query: Query) -> web.StreamResponse:
        """Answer a request for a document.

        Raises:
            NotFound: There is none at this path.
            MethodNotAllowed: It is not a read.
        """
        del query
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        parts = [part for part in path.split("/") if part]
        if self._tokens is not None and parts in (_CONFIGURATION, _KEYS):
            return self._serve_issuer(request, self._tokens, keys=parts == _KEYS)
        if parts == ["metrics"] and self._exposition is not None:
            return web.Response(body=self._exposition(), headers={"Content-Type": EXPOSITION})
        if parts[:1] == ["openapi"]:
            return await self._serve_openapi(request, parts[1:])
        return self._serve_discovery(request, parts)

    def _serve_issuer(self, request: web.BaseRequest, tokens: TokenIssuer, *, keys: bool) -> web.Response:
        if not keys:
            return respond_object(request, tokens.configuration)
        return web.json_response(tokens.keys.jwks(), content_type="application/jwk-set+json")

    async def _serve_openapi(self, request: web.BaseRequest, parts: list[str]) -> web.StreamResponse:
        if parts == ["v3"]:
            return respond_object(request, self._openapi.index())
        accept = request.headers.get("Accept", "")
        if parts == ["v2"] and any(each in accept for each in _PROTOBUF):
            document = await asyncio.to_thread(self._openapi.v2_protobuf)
            return respond_compressed(request, document, _PROTOBUF[0])
        negotiate(accept)
        if parts == ["v2"]:
            return respond_compressed(request, await asyncio.to_thread(self._openapi.v2))
        if parts[:1] == ["v3"]:
            return respond_compressed(request, await asyncio.to_thread(self._openapi.v3, "/".join(parts[1:])))
        raise NotFound("the server could not find the requested resource")

    def _serve_discovery(self, request: web.BaseRequest, parts: list[str]) -> web.Response:
        accept = request.headers.get("Accept", "")
        match parts:
            case ["api" | "apis"]:
                return self._serve_groups(request, negotiate(accept, discovery=True), core=parts == ["api"])
            case ["apis", group]:
                return respond_object(request, discovery.group(self._kinds, group), negotiate(accept))
            case ["api", version]:
                return respond_object(request, discovery.resource_list(self._kinds, "", version), negotiate(accept))
            case ["apis", group, version]:
                return respond_object(request, discovery.resource_list(self._kinds, group, version), negotiate(accept))
            case []:
                return respond_object(request, {"paths": self._paths()})
        raise NotFound("the server could not find the requested resource")

    def _serve_groups(self, request: web.BaseRequest, representation: Representation, *, core: bool) -> web.Response:
        if representation.transformation:
            document = discovery.aggregated(self._kinds, core=core, version=representation.version)
        elif core:
            document = discovery.api_versions(request.headers.get("Host", ""))
        else:
            document = discovery.group_list(self._kinds)
        return respond_object(request, document, representation)

    def _paths(self) -> list[str]:
        groups = {f"/apis/{kind.group}/{kind.version}" for kind in self._kinds if kind.group}
        return ["/api", "/api/v1", "/apis", *sorted(groups), "/healthz", "/livez", "/metrics",
                "/openapi/v2", "/openapi/v3",
                "/readyz", "/version"]  # fmt: skip
