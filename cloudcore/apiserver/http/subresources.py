"""Subresources over HTTP that are not a view of their object: actions, and what edge pods do not offer yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiohttp import web

from cloudcore.apiserver.http.bodies import read_object
from cloudcore.apiserver.http.call import Call
from cloudcore.apiserver.http.responses import respond_object
from cloudcore.apiserver.http.status import success
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import NotFound


async def handle_action(call: Call) -> web.StreamResponse:
    """Carry out a subresource that is created: ``binding``, ``eviction``."""
    body = await read_object(call.request)
    context = call.context
    options = body.get("deleteOptions")
    if isinstance(options, dict) and options.get("dryRun") == ["All"]:
        context = replace(context, dry_run=True)  # an Eviction says so in its delete options
    await create_subresource(call.registry, call.target, body, context)
    status = {**success({}), "code": 201}
    return respond_object(call.request, status, status=201, warnings=call.context.warnings)


_TUNNELLED: Final = {
    "log": "the server does not have a log endpoint for edge pods yet",
    "exec": "the server cannot open a session into an edge pod yet",
    "attach": "the server cannot open a session into an edge pod yet",
    "portforward": "the server cannot forward ports of an edge pod yet",
}


def require_served(kind: Kind, subresource: str) -> None:
    """Refuse what the server does not have.

    Raises:
        NotFound: There is no such subresource.
    """
    if not subresource or kind.subresource(subresource) is not None:
        return
    if kind.resource == "pods" and subresource in _TUNNELLED:
        raise NotFound(_TUNNELLED[subresource])
    raise NotFound("the server could not find the requested resource")
