"""Subresources that are created: each is an action on the object, not a part of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.binding import create_binding
from cloudcore.apiserver.subresources.eviction import create_eviction
from cloudcore.apiserver.subresources.token import create_token
from protocol.objects.keys import Body

_Action = Callable[[Registry, Target, Body, Context], Awaitable[Body | None]]
_ACTIONS: Final[dict[tuple[str, str], _Action]] = {
    ("pods", "binding"): create_binding,
    ("pods", "eviction"): create_eviction,
    ("serviceaccounts", "token"): create_token,
}


async def create_subresource(registry: Registry, target: Target, body: Body, context: Context) -> Body | None:
    """Carry out what ``target.subresource`` stands for.

    Returns:
        What the API answers with; None stands for a ``Status`` of ``Success``.

    Raises:
        MethodNotAllowed: It cannot be created.
        NotFound: There is no such subresource, or no such object.
    """
    row = target.kind.subresource(target.subresource)
    if row is None:
        raise failures.no_resource()
    action = _ACTIONS.get((target.kind.resource, target.subresource))
    if action is None or "create" not in row.verbs:
        raise failures.not_allowed(target.kind, "create")
    return await action(registry, target, body, context)
