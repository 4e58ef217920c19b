"""The disruption controller: keeps the status of PodDisruptionBudgets, which the eviction subresource goes by.

Source: Kubernetes' documented behaviour of PodDisruptionBudgets (``policy/v1``): a percentage, and
``maxUnavailable``, are of the replicas that the pods' controllers want; percentages round up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloudcore.controllers.ownership import controller_of
from cloudcore.controllers.pods import is_deleting, is_ready, is_terminated
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import NotFound
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from protocol.objects.selectors import label_selector, matches
from protocol.objects.times import parse_timestamp, timestamp

EVICTION_GRACE_S = 120.0
"""How long a pod whose eviction was allowed may take to be seen being deleted, before it counts as healthy again."""

_SCALED: Mapping[str, str] = {
    "ReplicaSet": REPLICA_SETS,
    "StatefulSet": STATEFUL_SETS,
    "ReplicationController": REPLICATION_CONTROLLERS,
    "Deployment": DEPLOYMENTS,
}


class NoScale(Exception):
    """How many pods a budget's share is of cannot be told; the message says why."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a budget comes to.

    Attributes:
        expected: Pods that there should be.
        desired: Healthy pods that there must be.
    """

    expected: int
    desired: int


def counts(spec: Body, pods: int, replicas: int | NoScale) -> Counts:
    """Return what a budget demands.

    Args:
        spec: The budget's ``spec``.
        pods: How many pods it selects.
        replicas: How many its pods' controllers want in all, or why that is not known.

    Raises:
        NoScale: It is needed and not known.
    """
    at_least, at_most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if at_most is None and isinstance(at_least, int):
        return Counts(pods, at_least)
    if at_most is None and at_least is None:
        return Counts(pods, 0)
    if isinstance(replicas, NoScale):
        raise replicas
    if at_most is None:
        return Counts(replicas, _share(at_least, replicas))
    return Counts(replicas, max(replicas - _share(at_most, replicas), 0))


def _share(amount: int | str | None, whole: int) -> int:
    if isinstance(amount, str):
        return -(-int(amount.removesuffix("%")) * whole // 100)
    return amount or 0


def plan(budget: Body, pods: Sequence[Body], replicas: int | NoScale, now: float) -> Body:
    """Return the status that a budget should have.

    Args:
        budget: The PodDisruptionBudget.
        pods: The pods that it selects.
        replicas: How many their controllers want in all, or why that is not known.
        now: Epoch seconds.
    """
    before = budget.get("status") or {}
    generation = {"observedGeneration": budget["metadata"].get("generation", 0)}
    try:
        wanted = counts(budget["spec"], len(pods), replicas)
    except NoScale as why:
        condition = _condition(False, "SyncFailed", str(why), generation)
        conditions = set_condition(before.get("conditions"), condition, at=timestamp(now))
        kept = {name: before.get(name, 0) for name in ("currentHealthy", "desiredHealthy", "expectedPods")}
        return {**kept, **generation, "disruptionsAllowed": 0, "conditions": conditions}
    disrupted = _disrupted(before.get("disruptedPods") or {}, pods, now)
    healthy = sum(
        is_ready(pod) and not is_deleting(pod) and not is_terminated(pod) and pod["metadata"]["name"] not in disrupted
        for pod in pods
    )
    allowed = max(healthy - wanted.desired, 0) if wanted.expected > 0 else 0
    condition = _condition(allowed > 0, "SufficientPods" if allowed else "InsufficientPods", "", generation)
    return {
        "conditions": set_condition(before.get("conditions"), condition, at=timestamp(now)),
        "currentHealthy": healthy,
        "desiredHealthy": wanted.desired,
        "disruptionsAllowed": allowed,
        "expectedPods": wanted.expected,
        **generation,
        **({"disruptedPods": disrupted} if disrupted else {}),
    }


def _condition(allowed: bool, reason: str, message: str, generation: Body) -> Body:
    about = {"reason": reason, "message": message, **generation}
    return {"type": "DisruptionAllowed", "status": "True" if allowed else "False", **about}


def _disrupted(noted: Mapping[str, str], pods: Sequence[Body], now: float) -> dict[str, str]:
    """Return the pods whose eviction was allowed and has not shown yet, with when it was."""
    present = {pod["metadata"]["name"] for pod in pods if not is_deleting(pod)}
    return {
        name: at
        for name, at in noted.items()
        if name in present and now < parse_timestamp(at) + EVICTION_GRACE_S
    }  # fmt: skip


class DisruptionController:
    """Reconciles PodDisruptionBudgets; keys are theirs."""

    name = "disruption"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        informers = context.informers
        self._budgets = informers.for_resource(DISRUPTION_BUDGETS)
        self._pods = informers.for_resource(PODS)
        self._owners = {kind: informers.for_resource(resource) for kind, resource in _SCALED.items()}

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow budgets, pods, and the controllers of pods that say how many there should be."""
        own = Watching(DISRUPTION_BUDGETS, own_keys(DISRUPTION_BUDGETS))
        owners = [Watching(resource, self._keys_of_owner) for resource in _SCALED.values()]
        return (own, Watching(PODS, self._keys_of_pod), *owners)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Write the budget's status."""
        budget = self._budgets.get(key)
        if budget is None or is_deleting(budget):
            return DONE
        pods = [pod for pod in self._pods.list(index="namespace", value=key.namespace) if selects(budget, pod)]
        now = self._context.clock.wall()
        status = plan(budget, pods, self._replicas(pods), now)
        if status != budget.get("status"):
            try:
                await self._client.update(DISRUPTION_BUDGETS, {**budget, "status": status}, subresource="status")
            except NotFound:
                return DONE
        moments = [parse_timestamp(at) + EVICTION_GRACE_S for at in (status.get("disruptedPods") or {}).values()]
        return RequeueAfter(max(min(moments) - now, 0.0) + 0.01) if moments else DONE

    def _replicas(self, pods: Sequence[Body]) -> int | NoScale:
        """Return how many pods the controllers of ``pods`` want; those that nobody controls do not count."""
        wanted: dict[str, int] = {}
        for pod in pods:
            reference = controller_of(pod)
            if reference is None or reference["uid"] in wanted:
                continue
            owner = self._top(pod["metadata"]["namespace"], reference)
            if isinstance(owner, NoScale):
                return owner
            if owner is not None:
                wanted[owner["metadata"]["uid"]] = (owner.get("spec") or {}).get("replicas", 1)
        return sum(wanted.values())

    def _top(self, namespace: str, reference: Body) -> Body | NoScale | None:
        """Return the object at the top of a chain of controllers; None where it is gone."""
        kind = reference["kind"]
        if kind not in self._owners:
            return NoScale(f"{kind}s have no scale that this server can read: state minAvailable as a number")
        owner = self._owners[kind].get(ObjectKey(_SCALED[kind], namespace, reference["name"]))
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            return None
        above = controller_of(owner)
        return owner if above is None or above["kind"] not in self._owners else self._top(namespace, above)

    def _keys_of_pod(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        for pod in (old, new):
            if pod is None:
                continue
            for budget in self._budgets.list(index="namespace", value=pod["metadata"]["namespace"]):
                if selects(budget, pod):
                    yield ObjectKey(DISRUPTION_BUDGETS, pod["metadata"]["namespace"], budget["metadata"]["name"])

    def _keys_of_owner(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        """Return the budgets of the namespace, where the number of wanted pods changed."""
        body = new or old
        if body is None or (old is not None and new is not None and _wanted(old) == _wanted(new)):
            return
        namespace = body["metadata"]["namespace"]
        for budget in self._budgets.list(index="namespace", value=namespace):
            yield ObjectKey(DISRUPTION_BUDGETS, namespace, budget["metadata"]["name"])


def selects(budget: Body, pod: Body) -> bool:
    """Tell whether a budget is about a pod: an empty selector takes every pod, an absent one none."""
    selector = budget["spec"].get("selector")
    return selector is not None and matches(label_selector(selector), pod["metadata"].get("labels"))


def _wanted(owner: Body) -> object:
    return (owner.get("spec") or {}).get("replicas")
