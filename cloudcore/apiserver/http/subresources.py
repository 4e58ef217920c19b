"""Subresources over HTTP that are not a view of their object: actions, and what edge pods do not offer yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiohttp import web

from cloudcore.apiserver.get import stored
from cloudcore.apiserver.http.bodies import read_object
from cloudcore.apiserver.http.call import Call
from cloudcore.apiserver.http.responses import respond_object
from cloudcore.apiserver.http.status import success
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import NotBuiltYet, NotFound


async def handle_action(call: Call) -> web.StreamResponse:
    """Carry out a subresource that is created: ``binding``, ``eviction``, ``token``."""
    body = await read_object(call.request)
    context = call.context
    options = body.get("deleteOptions")
    if isinstance(options, dict) and options.get("dryRun") == ["All"]:
        context = replace(context, dry_run=True)  # an Eviction says so in its delete options
    made = await create_subresource(call.registry, call.target, body, context)
    answer = {**success({}), "code": 201} if made is None else made
    return respond_object(call.request, answer, status=201, warnings=call.context.warnings)


_STREAMED: Final = {
    "log": "this server cannot fetch the logs of edge pods yet: they are on the node, below edgecore's data folder",
    "exec": "this server cannot open a session into edge pods yet",
    "attach": "this server cannot attach to edge pods yet",
    "portforward": "this server cannot forward ports of edge pods yet",
    "proxy": "this server cannot pass requests on to the edge yet",
}


def require_served(kind: Kind, subresource: str) -> None:
    """Refuse what does not exist.

    Raises:
        NotFound: There is no such subresource.
    """
    if subresource and kind.subresource(subresource) is None:
        raise NotFound("the server could not find the requested resource")


async def handle_streamed(call: Call) -> web.StreamResponse:
    """Answer for what needs a stream to the node that runs the object.

    Raises:
        NotBuiltYet: There are no such streams yet.
        NotFound: There is no such object.
    """
    await stored(call.registry, replace(call.target, subresource=""))
    raise NotBuiltYet(_STREAMED[call.target.subresource])
