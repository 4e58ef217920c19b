"""Admission of pods: priority, runtime class, and the bound on waiting pods.

Source: Kubernetes' Priority and RuntimeClass plugins.
"""

from __future__ import annotations

from collections.abc import Callable

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.errors import NotFound, TooManyRequests
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.mirrors import is_mirror
from protocol.objects.resources import PODS, PRIORITY_CLASSES, RUNTIME_CLASSES

_SYSTEM_PRIORITY = 2_000_000_000


class _PodCreation:
    """What plugins of pod creation share: when they take part."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods."""
        return operation is Operation.CREATE and resource == PODS and not subresource


class Priority(_PodCreation):
    """Resolves a pod's PriorityClass into ``spec.priority``."""

    async def admit(self, admission: Admission) -> None:
        """Set priority and preemption policy.

        Raises:
            Forbidden: There is no such class, or the pod states another priority than its class has.
        """
        target, spec = admission.target, admission.body["spec"]
        class_name = spec.get("priorityClassName")
        value, policy = await self._resolve(admission, class_name) if class_name else (0, "PreemptLowerPriority")
        if spec.get("priority", value) != value:
            why = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
            raise failures.forbidden(target.kind, target.name, why)
        spec["priority"] = value
        spec.setdefault("preemptionPolicy", policy)

    async def _resolve(self, admission: Admission, name: str) -> tuple[int, str]:
        try:
            record = await admission.store.get(ObjectKey(PRIORITY_CLASSES, "", name))
        except NotFound:
            target = admission.target
            raise failures.forbidden(target.kind, target.name, f"no PriorityClass with name {name} was found") from None
        body = record.decode()
        return body.get("value", 0), body.get("preemptionPolicy") or "PreemptLowerPriority"


class RuntimeClass(_PodCreation):
    """Checks a pod's RuntimeClass, and adds its overhead and scheduling constraints.

    Args:
        default: The class of pods that name none; empty leaves that to each node.
    """

    def __init__(self, default: str = "") -> None:
        self._default = default

    async def admit(self, admission: Admission) -> None:
        """Resolve the class.

        Raises:
            Forbidden: There is no such class, or it contradicts the pod.
        """
        spec = admission.body["spec"]
        # What a mirror shows runs already, by its node's own choice.
        name = spec.get("runtimeClassName") or ("" if is_mirror(admission.body) else self._default)
        if not name:
            return
        spec["runtimeClassName"] = name
        try:
            record = await admission.store.get(ObjectKey(RUNTIME_CLASSES, "", name))
        except NotFound:
            raise self._rejected(admission, f'RuntimeClass "{name}" not found') from None
        body = record.decode()
        self._add_overhead(admission, spec, (body.get("overhead") or {}).get("podFixed"))
        self._add_scheduling(admission, spec, body.get("scheduling") or {})

    def _add_overhead(self, admission: Admission, spec: Body, overhead: Body | None) -> None:
        if spec.get("overhead") and spec["overhead"] != overhead:
            raise self._rejected(admission, "Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        if overhead:
            spec["overhead"] = overhead

    def _add_scheduling(self, admission: Admission, spec: Body, scheduling: Body) -> None:
        selector, wanted = spec.get("nodeSelector") or {}, scheduling.get("nodeSelector") or {}
        if any(selector.get(key, value) != value for key, value in wanted.items()):
            raise self._rejected(admission, "conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector")
        if wanted:
            spec["nodeSelector"] = {**selector, **wanted}
        present = spec.get("tolerations") or []
        added = [each for each in scheduling.get("tolerations") or () if each not in present]
        if added:
            spec["tolerations"] = [*present, *added]

    @staticmethod
    def _rejected(admission: Admission, why: str) -> Exception:
        return failures.forbidden(admission.target.kind, admission.target.name, f"pod rejected: {why}")


class PodBacklog(_PodCreation):
    """Bounds the scheduling work that is accepted (semantics: "Admission and 429").

    Args:
        active_pods: How many pods wait in the scheduler's active queue; unschedulable ones do not count.
        limit: How many may wait; asked at each write, for it can be changed while the cloud runs.
    """

    validating = True

    def __init__(self, active_pods: Callable[[], int], limit: Callable[[], int]) -> None:
        self._active_pods = active_pods
        self._limit = limit

    async def admit(self, admission: Admission) -> None:
        """Turn a pod away while the queue is full; bound and system-critical pods pass.

        Raises:
            TooManyRequests: The queue is full.
        """
        spec = admission.body["spec"]
        if spec.get("nodeName") or spec.get("priority", 0) >= _SYSTEM_PRIORITY:
            return
        waiting, limit = self._active_pods(), self._limit()
        if waiting >= limit:
            why = f"the scheduler's queue is full ({waiting} of {limit} pods wait); try again later"
            raise TooManyRequests(f'pods "{admission.target.name}" was turned away: {why}', retry_after_s=1)
