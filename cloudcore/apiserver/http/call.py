"""One API request, understood: who asks for what, in which form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.http.negotiation import Representation
from cloudcore.apiserver.http.query import Query
from cloudcore.apiserver.http.rendering import Renderer
from cloudcore.apiserver.http.watchstream import WatchStreams
from cloudcore.apiserver.registry import Registry


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is authenticated, authorised and resolved to a kind.

    Attributes:
        registry: What verbs work on.
        request: The request as received.
        target: What it speaks of.
        query: Its parameters.
        context: Who asks, and how writes are to be done.
        representation: The form the client wants.
        renderer: Writes the kind in that form.
        streams: Where watches run.
    """

    registry: Registry
    request: web.BaseRequest
    target: Target
    query: Query
    context: Context
    representation: Representation
    renderer: Renderer
    streams: WatchStreams

    @property
    def content_type(self) -> str:
        """The body's type."""
        return self.request.headers.get("Content-Type", "")


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
