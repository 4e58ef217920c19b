"""The verb ``apply``: make an object say what a configuration states, and leave the rest to others."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.change import change
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.managedfields.applying import application, applied_change, applied_creation
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.strategy import address
from cloudcore.apiserver.subresources.views import view_of
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.versions import spoken
from cloudcore.errors import AlreadyExists, BadRequest, NotFound
from cloudcore.store.base import Record
from protocol.objects.keys import Body

_ATTEMPTS = 8
"""Appliers may race with deletions of the same object; more than this means a storm."""


async def apply(
    registry: Registry, target: Target, config: Body, context: Context, *, force: bool = False
) -> tuple[Record, bool]:
    """Apply a configuration and return the object as stored, and whether that created it.

    Args:
        registry: What to work on.
        target: The object, or a subresource of it.
        config: What ``context.field_manager`` states of the object; fields that it stated before and does not state
            now are removed unless another manager owns them.
        context: Who asks.
        force: Whether to take fields that other managers own.

    Raises:
        BadRequest: The configuration cannot be read as one of this kind.
        Conflict: Other managers own fields that it would change; the causes name them.
        Invalid: The result breaks a rule.
        NotFound: There is no such object, and a subresource does not make it.
    """
    view = view_of(target, "patch")
    if not view.is_whole:
        raise BadRequest(f"apply is not supported on the subresource {target.subresource!r}")
    require_object(target.kind, config)
    for name in ("apiVersion", "kind"):
        if not config.get(name):
            raise BadRequest(f"Object '{name}' is missing in the applied configuration")
    address(target, config, target.version)
    asked = application(
        spoken(target),
        config,
        context.field_manager,
        force=force,
        now=registry.now(),
        subresource=target.subresource,
    )

    def applied(live: Body) -> Body:
        return applied_change(asked, live, registry.kinds)

    for _ in range(_ATTEMPTS):
        try:
            return await change(registry, target, view, applied, context, applied=True), False
        except NotFound:
            if target.subresource:
                raise
        try:
            return await create(registry, target, applied_creation(asked), context, applied=True), True
        except AlreadyExists:
            continue
    raise failures.conflict(target.kind, target.name)
