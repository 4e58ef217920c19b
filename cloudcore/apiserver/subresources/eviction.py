"""The ``eviction`` subresource of pods: a deletion that PodDisruptionBudgets may refuse.

Source: Kubernetes' documented "API-initiated eviction", and the wording of its answers.
"""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.delete import DeleteOptions, check_preconditions, delete, read_options
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import ApiError, BadRequest, Cause, Conflict, Forbidden, InternalError, NotFound, TooManyRequests
from cloudcore.store.base import Record, encode
from protocol.objects.conditions import find_condition, is_true, set_condition
from protocol.objects.keys import Body
from protocol.objects.resources import DISRUPTION_BUDGETS
from protocol.objects.selectors import label_selector, matches

MAX_DISRUPTED = 2000
"""Pods of one budget whose eviction was allowed and has not shown in its status yet."""

_ATTEMPTS = 16
_WOULD_VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget."


async def create_eviction(registry: Registry, target: Target, body: Body, context: Context) -> None:
    """Carry out a ``policy/v1`` Eviction of the pod ``target`` names.

    Raises:
        BadRequest: The body's delete options cannot be read.
        Conflict: A precondition of the delete options does not hold.
        InternalError: More than one budget is about the pod.
        NotFound: There is no such pod.
        TooManyRequests: The pod's budget does not allow a disruption now.
    """
    require_object(target.kind, body)
    name = body["metadata"].get("name") or target.name
    if name != target.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = _options(target, body)
    pod = await stored(registry, target)
    check_preconditions(target, pod, options)
    await _account(registry, target, pod.decode(), context)
    await delete(registry, Target(target.kind, target.namespace, target.name), context, options)


def _options(target: Target, body: Body) -> DeleteOptions:
    given = body.get("deleteOptions") or {}
    if not isinstance(given, dict):
        raise BadRequest("deleteOptions must be an object")
    options = read_options(given)
    if options.grace_s is not None and options.grace_s < 0:
        wrong = invalid("deleteOptions.gracePeriodSeconds", options.grace_s, "must be greater than or equal to 0")
        raise failures.invalid(target.kind, target.name, [wrong])
    return options


async def _account(registry: Registry, target: Target, pod: Body, context: Context) -> None:
    """Note the disruption in the pod's budget, if one is about it."""
    if is_free(pod):
        return
    for _ in range(_ATTEMPTS):
        record = await _budget_of(registry, target, pod)
        if record is None:
            return
        budget = record.decode()
        if not spends(budget, pod):
            return
        accounted = spend(budget, target.name, registry.now())
        if context.dry_run:
            return
        try:
            await registry.store.update(record.key, encode(accounted), expected=record.revision, status_only=True)
        except (Conflict, NotFound):
            continue  # another eviction, or the budget's controller, was faster
        return
    raise failures.conflict(registry.kinds.of(DISRUPTION_BUDGETS), target.name)


async def _budget_of(registry: Registry, target: Target, pod: Body) -> Record | None:
    listing = await registry.store.list(DISRUPTION_BUDGETS, namespace=target.namespace)
    labels = pod["metadata"].get("labels")
    found = [record for record in listing.records if _selects(record.decode(), labels)]
    if len(found) > 1:
        raise InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    return found[0] if found else None


def _selects(budget: Body, labels: dict[str, str] | None) -> bool:
    selector = (budget.get("spec") or {}).get("selector")
    return selector is not None and matches(label_selector(selector), labels)


def is_free(pod: Body) -> bool:
    """Tell whether a pod may go whatever its budget says: it has not begun, has ended, or is going already."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in {"Pending", "Succeeded", "Failed"} or bool(pod["metadata"].get("deletionTimestamp"))


def spends(budget: Body, pod: Body) -> bool:
    """Tell whether a pod's eviction counts as a disruption; that of an unhealthy pod may not.

    By ``unhealthyPodEvictionPolicy``: ``AlwaysAllow`` lets it go always, ``IfHealthyBudget`` (the default) only
    while its application has all the healthy pods that the budget demands.
    """
    if is_true((pod.get("status") or {}).get("conditions"), "Ready"):
        return True
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return False
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    return not (desired > 0 and status.get("currentHealthy", 0) >= desired)


def spend(budget: Body, pod: str, now: str) -> Body:
    """Return the budget with one disruption less, which is for ``pod``.

    Raises:
        Forbidden: So many evictions are under way that the budget's status cannot hold more.
        TooManyRequests: There is no disruption left, or the controller has not seen the budget yet.
    """
    status, metadata = budget.get("status") or {}, budget["metadata"]
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        why = f"The disruption budget {metadata['name']} is still being processed by the server."
        raise _refused(why, retry_after_s=10)
    if len(disrupted) > MAX_DISRUPTED:
        raise Forbidden(
            f'poddisruptionbudgets.policy "{metadata["name"]}" is forbidden: DisruptedPods map too big - too many '
            "evictions not confirmed by PDB controller"
        )
    if allowed <= 0:
        raise _refused(_none_left(metadata["name"], status))
    conditions = status.get("conditions")
    if allowed == 1:
        condition = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": ""}
        condition["observedGeneration"] = status.get("observedGeneration", 0)
        conditions = set_condition(conditions, condition, at=now)
    spent = {"disruptionsAllowed": allowed - 1, "disruptedPods": {**disrupted, pod: now}, "conditions": conditions}
    return {**budget, "status": {**status, **spent}}


def _none_left(name: str, status: Body) -> str:
    condition = find_condition(status.get("conditions"), "DisruptionAllowed") or {}
    if condition.get("reason") == "SyncFailed":
        why = condition.get("message", "")
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}"
    needed, have = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    return f"The disruption budget {name} needs {needed} healthy pods and has {have} currently"


def _refused(why: str, retry_after_s: int | None = None) -> ApiError:
    return TooManyRequests(_WOULD_VIOLATE, causes=[Cause("DisruptionBudget", why)], retry_after_s=retry_after_s)
