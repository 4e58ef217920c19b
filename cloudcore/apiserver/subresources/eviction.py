"""The ``eviction`` subresource of pods: a deletion; disruption budgets, which may refuse it, are not looked at yet."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.delete import delete, read_options
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body


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
    given = body.get("deleteOptions") or {}
    if not isinstance(given, dict):
        raise BadRequest("deleteOptions must be an object")
    options = read_options(given)
    if options.grace_s is not None and options.grace_s < 0:
        wrong = invalid("deleteOptions.gracePeriodSeconds", options.grace_s, "must be greater than or equal to 0")
        raise failures.invalid(target.kind, name, [wrong])
    await delete(registry, Target(target.kind, target.namespace, target.name), context, options)
