"""The verb ``apply``: make an object say what a configuration states, and leave the rest to others."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.change import change
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.managedfields.applying import application, applied_change, applied_creation
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.strategy import address
from cloudcore.apiserver.subresources.scale import CustomScaleView, ScaleView, spec_of
from cloudcore.apiserver.subresources.views import WHOLE, View, rendered, view_of
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.versions import spoken
from cloudcore.errors import AlreadyExists, BadRequest, NotFound
from cloudcore.store.base import Record
from protocol.objects.keys import Body

_ADDRESS = ("name", "namespace", "resourceVersion", "uid")
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
        Forbidden: There is no such object, and the user may not create it.
        Invalid: The result breaks a rule.
        NotFound: There is no such object, and a subresource does not make it.
    """
    view = view_of(target, "patch")
    require_object(target.kind, config)
    for name in ("apiVersion", "kind"):
        if not config.get(name):
            raise BadRequest(f"Object '{name}' is missing in the applied configuration")
    if isinstance(view, ScaleView | CustomScaleView):
        record, created = await _apply(registry, target, WHOLE, _of_scale(target, view, config), context, force=force)
        return rendered(view, record), created
    return await _apply(registry, target, view, config, context, force=force)


def _of_scale(target: Target, view: ScaleView | CustomScaleView, config: Body) -> Body:
    """Return the configuration of a workload that the configuration of its Scale amounts to."""
    if (config["apiVersion"], config["kind"]) != ("autoscaling/v1", "Scale"):
        given = f"{config['kind']} of {config['apiVersion']}"
        raise BadRequest(f"the object is a {given}, and the subresource scale takes a Scale of autoscaling/v1")
    kind = spoken(target)
    metadata = {name: config["metadata"][name] for name in _ADDRESS if name in config["metadata"]}
    stated = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return view.write(stated, config) if "replicas" in spec_of(config) else stated


async def _apply(
    registry: Registry, target: Target, view: View, config: Body, context: Context, *, force: bool
) -> tuple[Record, bool]:
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
        context.require("create")
        try:
            return await create(registry, target, applied_creation(asked), context, applied=True), True
        except AlreadyExists:
            continue
    raise failures.conflict(target.kind, target.name)
