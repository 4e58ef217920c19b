"""Keeps :class:`~cloudcore.apiserver.rbac.roles.Roles` in step with the store, by the informers' watches."""

from __future__ import annotations

from collections.abc import Callable

from cloudcore.apiserver.rbac.roles import RESOURCES, Roles
from cloudcore.informers import Informers
from protocol.objects.keys import Body, key_of


def feed(roles: Roles, informers: Informers) -> None:
    """Let every change of a role or binding reach ``roles``, from the informers' first list on."""
    for resource in RESOURCES:
        informers.for_resource(resource).subscribe(_handler(roles, resource))


def _handler(roles: Roles, resource: str) -> Callable[[Body | None, Body | None], None]:
    def handle(old: Body | None, new: Body | None) -> None:
        if new is not None:
            roles.put(key_of(resource, new), new)
        elif old is not None:
            roles.remove(key_of(resource, old))

    return handle
