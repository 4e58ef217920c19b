"""The ReplicaSet controller: as many active pods as wanted, in slow-start batches.

Source: Kubernetes' documented ReplicaSet behaviour. A cache without this controller's last writes cannot occur here:
writes go through a read-your-writes client (see :mod:`cloudcore.controllers.runtime`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from cloudcore.controllers.batches import BURST, all_at_once, slow_start
from cloudcore.controllers.namespace import is_namespace_going
from cloudcore.controllers.ownership import apply_claims, controller_of, controller_reference, plan_claims
from cloudcore.controllers.pods import available_at, deletion_order, is_active, is_available, is_deleting, is_ready
from cloudcore.controllers.runtime import DONE, Context, Done, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import ApiError, NotFound
from cloudcore.informers.indexes import BY_CONTROLLER, ORPHANS, controller_uid, orphan_namespace
from protocol.objects.conditions import is_true, set_condition
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import PODS, REPLICA_SETS
from protocol.objects.selectors import label_selector, matches
from protocol.objects.times import timestamp

REST_PER_POD_S = 100e-6
"""Rest after a reconcile, per pod: some ten times what it costs, so that one large ReplicaSet cannot eat the loop."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one ReplicaSet.

    Attributes:
        create: How many pods to create.
        delete: Which pods to delete, in this order.
        requeue_s: When a pod becomes available by the passing of time alone; None when none does.
    """

    create: int = 0
    delete: tuple[Body, ...] = ()
    requeue_s: float | None = None


def plan(replicaset: Body, pods: Sequence[Body], now: float) -> Plan:
    """Decide from the ReplicaSet and all pods it owns; ``now`` is epoch seconds."""
    spec = replicaset["spec"]
    active = [pod for pod in pods if is_active(pod)]
    requeue_s = next_available_s(active, spec.get("minReadySeconds", 0), now)
    if is_deleting(replicaset):
        return Plan(requeue_s=requeue_s)
    surplus = len(active) - wanted(replicaset)
    if surplus < 0:
        return Plan(create=min(-surplus, BURST), requeue_s=requeue_s)
    doomed = deletion_order(active, now)[: min(surplus, BURST)] if surplus else ()
    return Plan(delete=tuple(doomed), requeue_s=requeue_s)


def status(replicaset: Body, pods: Sequence[Body], failure: tuple[str, str] | None, now: float) -> Body:
    """Return the status that ``pods`` amount to.

    Args:
        replicaset: The ReplicaSet.
        pods: All pods that it owns.
        failure: Reason and message of a failed creation or deletion.
        now: Epoch seconds.
    """
    spec, before = replicaset["spec"], replicaset.get("status") or {}
    active = [pod for pod in pods if is_active(pod)]
    template_labels: dict[str, str] = spec["template"].get("metadata", {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(template_labels.items() <= _labels(pod).items() for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(is_available(pod, spec.get("minReadySeconds", 0), now) for pod in active),
    }
    conditions = [entry for entry in before.get("conditions") or () if entry["type"] != "ReplicaFailure"]
    if failure is not None and is_true(before.get("conditions"), "ReplicaFailure"):
        # The first failure stands: messages name the pod, and a new one each time would bring the key up at once.
        conditions = before["conditions"]
    elif failure is not None:
        reason, message = failure
        new = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}
        conditions = set_condition(before.get("conditions"), new, at=timestamp(now))
    return {
        "replicas": len(active),
        **{name: count for name, count in counts.items() if count},
        "observedGeneration": replicaset["metadata"].get("generation", 0),
        **({"conditions": conditions} if conditions else {}),
    }


def wanted(replicaset: Body) -> int:
    """Return ``spec.replicas``, which defaults to 1."""
    replicas = replicaset["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def next_available_s(pods: Iterable[Body], min_ready_s: int, now: float) -> float | None:
    """Return in how many seconds the next ready pod becomes available; None when no pod is on its way."""
    if min_ready_s == 0:
        return None
    moments = [moment for pod in pods if (moment := available_at(pod, min_ready_s)) is not None and moment > now]
    return min(moments) - now if moments else None


def pod_from_template(owner: Body, template: Body) -> Body:
    """Return the pod that ``owner`` would create."""
    source = template.get("metadata") or {}
    copied = {field: source[field] for field in ("labels", "annotations", "finalizers") if source.get(field)}
    metadata = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        **copied,
        "ownerReferences": [controller_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


class ReplicaSetController:
    """Reconciles ReplicaSets; keys are theirs."""

    name = "replicaset"
    workers = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._replicasets = context.informers.for_resource(REPLICA_SETS)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self._recorder = context.recorder.named("replicaset-controller")

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow ReplicaSets and their pods."""
        return (Watching(REPLICA_SETS, own_keys(REPLICA_SETS)), Watching(PODS, self._keys_of_pod))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Create or delete pods, then write the status."""
        replicaset = self._replicasets.get(key)
        if replicaset is None:
            return DONE
        pods = await self._claim(replicaset)
        decided = plan(replicaset, pods, self._context.clock.wall())
        error = await self._carry_out(replicaset, decided)
        failure = None
        if error is not None:
            failure = ("FailedCreate" if decided.create else "FailedDelete", error.message)
        if decided.create or decided.delete:
            pods = self._pods.list(index=BY_CONTROLLER, value=replicaset["metadata"]["uid"])
        await self._write_status(replicaset, pods, failure)
        if error is not None:
            raise error
        rest_s = REST_PER_POD_S * len(pods)
        return Done(rest_s) if decided.requeue_s is None else RequeueAfter(decided.requeue_s, rest_s)

    async def _claim(self, replicaset: Body) -> list[Body]:
        metadata = replicaset["metadata"]
        owned = self._pods.list(index=BY_CONTROLLER, value=metadata["uid"])
        orphans = [pod for pod in self._pods.list(index=ORPHANS, value=metadata["namespace"]) if is_active(pod)]
        claims = plan_claims(replicaset, label_selector(replicaset["spec"]["selector"]), [*owned, *orphans])
        return await apply_claims(self._client, PODS, replicaset, REPLICA_SETS, claims)

    async def _carry_out(self, replicaset: Body, decided: Plan) -> ApiError | None:
        if decided.create:
            pod = pod_from_template(replicaset, replicaset["spec"]["template"])
            _, failure = await slow_start(decided.create, lambda _: self._create(replicaset, pod))
            return failure
        failures = await all_at_once([partial(self._delete, replicaset, pod) for pod in decided.delete])
        return failures[0] if failures else None

    async def _create(self, replicaset: Body, pod: Body) -> None:
        try:
            created = await self._client.create(PODS, {**pod, "metadata": dict(pod["metadata"])})
        except ApiError as error:
            if not is_namespace_going(error):
                self._recorder.event(replicaset, "Warning", "FailedCreate", f"Error creating: {error.message}")
                raise
            return
        name = created["metadata"]["name"]
        self._recorder.event(replicaset, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, replicaset: Body, pod: Body) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.delete(PODS, metadata["namespace"], metadata["name"], uid=Uid(metadata["uid"]))
        except NotFound:
            return
        except ApiError as error:
            self._recorder.event(replicaset, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            raise
        self._recorder.event(replicaset, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    async def _write_status(self, replicaset: Body, pods: list[Body], failure: tuple[str, str] | None) -> None:
        new = status(replicaset, pods, failure, self._context.clock.wall())
        if new == replicaset.get("status"):
            return
        try:
            await self._client.update(REPLICA_SETS, {**replicaset, "status": new}, subresource="status")
        except NotFound:
            return

    def _keys_of_pod(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        for pod in (old, new):
            if pod is None:
                continue
            namespace = pod["metadata"]["namespace"]
            reference = controller_of(pod)
            if reference is None:
                yield from self._selecting(namespace, pod)
            elif reference["kind"] == "ReplicaSet":
                yield ObjectKey(REPLICA_SETS, namespace, reference["name"])

    def _selecting(self, namespace: str, pod: Body) -> Iterable[ObjectKey]:
        for replicaset in self._replicasets.list(index="namespace", value=namespace):
            if matches(label_selector(replicaset["spec"]["selector"]), _labels(pod)):
                yield ObjectKey(REPLICA_SETS, namespace, replicaset["metadata"]["name"])


def _labels(body: Body) -> dict[str, str]:
    return body["metadata"].get("labels") or {}
