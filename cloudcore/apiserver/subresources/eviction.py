"""The ``eviction`` subresource of pods: a deletion that a disruption budget may refuse; there are no budgets yet."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.delete import DeleteOptions, delete
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body, Revision, Uid


async def create_eviction(registry: Registry, target: Target, body: Body, context: Context) -> None:
    """Carry out a ``policy/v1`` Eviction of the pod ``target`` names.

    Raises:
        BadRequest: The body's delete options cannot be read.
        NotFound: There is no such pod.
    """
    require_object(target.kind, body)
    name = body["metadata"].get("name") or target.name
    if name != target.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = delete_options(body.get("deleteOptions") or {})
    if options.grace_s is not None and options.grace_s < 0:
        wrong = invalid("deleteOptions.gracePeriodSeconds", options.grace_s, "must be greater than or equal to 0")
        raise failures.invalid(target.kind, name, [wrong])
    await delete(registry, Target(target.kind, target.namespace, target.name), context, options)


def delete_options(body: Body) -> DeleteOptions:
    """Read a ``DeleteOptions`` body.

    Raises:
        BadRequest: A field has the wrong type or value.
    """
    conditions = body.get("preconditions") or {}
    grace_s, propagation = body.get("gracePeriodSeconds"), body.get("propagationPolicy")
    if propagation is None and "orphanDependents" in body:
        propagation = "Orphan" if body["orphanDependents"] else "Background"
    if grace_s is not None and (not isinstance(grace_s, int) or isinstance(grace_s, bool)):
        raise BadRequest("DeleteOptions: gracePeriodSeconds must be an integer")
    if propagation not in {None, "Background", "Foreground", "Orphan"}:
        raise BadRequest(f"DeleteOptions: propagationPolicy: Unsupported value: {propagation!r}")
    uid, version = conditions.get("uid"), str(conditions.get("resourceVersion") or "")
    if version and not version.isdigit():
        raise BadRequest("DeleteOptions: preconditions.resourceVersion is not a version")
    return DeleteOptions(
        uid=Uid(uid) if uid else None,
        revision=Revision(int(version)) if version else None,
        grace_s=grace_s,
        propagation=propagation,
    )
