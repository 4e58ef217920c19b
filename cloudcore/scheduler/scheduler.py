"""The scheduler's driver: informers feed the core, the binder carries its placements out.

Contract. One task takes pods from the queue and places them, at most ``SLICE_S`` at a time before the loop gets its
turn; handlers of informers only change the core's state and wake that task. A pod is assumed on its node from the
decision on; if its binding fails it is taken back and tried again. What the bound on waiting pods means for new ones
is decided by admission, from :attr:`Scheduler.active_count`.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.events import Recorder
from cloudcore.informers import Informers, all_synced
from cloudcore.scheduler.binder import Binder, Bound
from cloudcore.scheduler.cycle import Cycle, Placement
from cloudcore.scheduler.explain import EVERYTHING, Explanation
from cloudcore.scheduler.framework import ClusterEvent, Profile
from cloudcore.scheduler.nodetable import NodeChange
from cloudcore.scheduler.plugins import default_profile
from cloudcore.scheduler.podqueue import PodQueue, QueuedPod
from cloudcore.scheduler.volumecaches import Claims
from cloudcore.scheduler.volumes import restriction
from protocol.objects.keys import Body, Uid, key_of
from protocol.objects.resources import NODES, PODS, RUNTIME_CLASSES

log = structlog.get_logger(__name__)

DEFAULT_SCHEDULER: Final = "default-scheduler"
SLICE_S: Final = 0.004
_ENDED: Final = ("Succeeded", "Failed")


class Scheduler:
    """Places pods that name this scheduler.

    Args:
        client: Binds pods and writes their conditions.
        informers: Gives nodes, pods and RuntimeClasses.
        recorder: Tells people.
        clock: Time.
        rng: Breaks ties.
        profile: The plugins; the default ones if None.
        name: The ``schedulerName`` that it answers to.
    """

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorder: Recorder,
        clock: Clock,
        *,
        rng: Random,
        profile: Profile | None = None,
        name: str = DEFAULT_SCHEDULER,
    ) -> None:
        self._name = name
        self._recorder = recorder
        self._clock = clock
        self._pods = informers.for_resource(PODS)
        self._nodes = informers.for_resource(NODES)
        self._runtime_classes = informers.for_resource(RUNTIME_CLASSES)
        self._claims = Claims(informers)
        self._cycle = Cycle(profile or default_profile(), rng)
        self._queue = PodQueue()
        self._binder = Binder(client, clock, self._bound)
        self._awake = asyncio.Event()

    @property
    def active_count(self) -> int:
        """Pods that wait for their turn or are being placed; unschedulable ones do not count."""
        return self._queue.active_count

    def explain(self, pod: Body) -> Explanation:
        """Tell which filters turn away how many nodes for ``pod``, now."""
        return self._cycle.explain(pod, restriction(pod, self._claims))

    async def run(self) -> None:
        """Schedule until cancelled."""
        followed = ((self._runtime_classes, self._runtime_class_changed), (self._nodes, self._node_changed))
        subscriptions = [informer.subscribe(handler) for informer, handler in followed]
        subscriptions += [informer.subscribe(self._volumes_changed) for informer in self._claims.followed]
        await all_synced([self._runtime_classes, self._nodes, *self._claims.followed])
        # Bound pods are all charged before the first one is placed.
        subscriptions.append(self._pods.subscribe(self._pod_changed))
        await self._pods.wait_synced()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._binder.run(), name="binder")
                await self._schedule_for_ever()
        finally:
            for unsubscribe in subscriptions:
                unsubscribe()

    async def _schedule_for_ever(self) -> None:
        while True:
            self._awake.clear()
            self._queue.handle_timer(self._clock.monotonic())
            await self._schedule_active()
            await self._sleep()

    async def _schedule_active(self) -> None:
        until = self._clock.monotonic() + SLICE_S
        while (pod := self._queue.pop()) is not None:
            await self._schedule(pod)
            now = self._clock.monotonic()
            if now >= until:
                await asyncio.sleep(0)
                until = self._clock.monotonic() + SLICE_S

    async def _sleep(self) -> None:
        timer = self._queue.next_timer()
        delay = None if timer is None else max(0.0, timer - self._clock.monotonic())
        try:
            async with asyncio.timeout(delay):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _schedule(self, pod: QueuedPod) -> None:
        try:
            volumes = restriction(pod.body, self._claims)
            outcome = self._cycle.place(pod.body, pod.shape, volumes) if not volumes.problem else None
        except Exception:
            # A pod that nobody foresaw must not end the scheduling of all others, now and after each restart.
            log.exception("pod cannot be judged", object=str(pod.key))
            self._queue.retry(pod, self._clock.monotonic())
            return
        if volumes.binding:
            self._queue.unschedulable(pod, EVERYTHING, self._clock.monotonic(), failed=False)
            return
        if outcome is None:
            outcome = Explanation(self._cycle.table.count(), pod_reason=volumes.problem)
        if isinstance(outcome, Placement) and volumes.waiting:
            # Placed once the claims are bound there; until then the node's room is anybody's.
            self._cycle.release(pod.uid)
            self._queue.unschedulable(pod, EVERYTHING, self._clock.monotonic(), failed=False)
            await self._binder.choose(pod, outcome.node, volumes.waiting)
            return
        if isinstance(outcome, Placement):
            await self._binder.bind(pod, outcome.node)
            return
        log.debug("pod is unschedulable", object=str(pod.key), cause=outcome.message)
        self._queue.unschedulable(pod, outcome.wakes, self._clock.monotonic())
        self._recorder.event(pod.body, "Warning", "FailedScheduling", outcome.message)
        self._binder.report(pod, outcome.message)

    def _bound(self, bound: Bound) -> None:
        pod = bound.pod
        if bound.error is None:
            log.debug("pod bound", object=str(pod.key), node=bound.node)
            message = f"Successfully assigned {pod.key.namespace}/{pod.key.name} to {bound.node}"
            self._recorder.event(pod.body, "Normal", "Scheduled", message)
        else:
            log.info("binding failed", object=str(pod.key), node=bound.node, cause=bound.error.message)
        if self._queue.get(pod.key) is not pod:
            # The informer was here first: the pod is bound or gone, and charged accordingly.
            return
        if bound.error is not None:
            self._release(pod.body)
            self._queue.retry(pod, self._clock.monotonic())
            self._awake.set()
        # A bound pod stays under way until the informer says so: an older update of it may still be on its way.

    def _wants_node(self, pod: Body) -> bool:
        spec = pod["spec"]
        return (
            not spec.get("nodeName")
            and spec.get("schedulerName", DEFAULT_SCHEDULER) == self._name
            and not spec.get("schedulingGates")
            and not pod["metadata"].get("deletionTimestamp")
            and not _has_ended(pod)
        )

    # What the informers tell

    def _pod_changed(self, old: Body | None, new: Body | None) -> None:
        body = new or old
        assert body is not None, "an informer tells of something"
        key = key_of(PODS, body)
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._release(old)
        if new is not None and self._wants_node(new):
            self._queue.put(key, new)
            self._awake.set()
            return
        self._queue.remove(key)
        if new is None or (old is not None and _same_place(old, new)):
            return
        node = new["spec"].get("nodeName")
        if node and not _has_ended(new):
            # A pod that was assumed there, and now is, has been charged; nothing else of it changes with the binding.
            confirmed = old is not None and not old["spec"].get("nodeName")
            if not (confirmed and self._cycle.node_of(Uid(new["metadata"]["uid"])) == node):
                self._cycle.charge(new)
        else:
            self._release(new)

    def _release(self, pod: Body) -> None:
        if self._cycle.release(Uid(pod["metadata"]["uid"])):
            self._freed()

    def _freed(self) -> None:
        self._queue.wake(ClusterEvent.CAPACITY_FREED, self._clock.monotonic())
        self._awake.set()

    def _node_changed(self, old: Body | None, new: Body | None) -> None:
        if new is None:
            assert old is not None, "an informer tells of something"
            self._cycle.table.remove(old["metadata"]["name"])
            return
        change = self._cycle.table.put(new)
        now = self._clock.monotonic()
        if NodeChange.ADDED in change:
            self._queue.wake(ClusterEvent.NODE_ADDED, now)
        if NodeChange.FEATURES in change:
            self._queue.wake(ClusterEvent.NODE_FEATURES, now)
        if NodeChange.CAPACITY in change:
            self._queue.wake(ClusterEvent.CAPACITY_FREED, now)
        if change:
            self._awake.set()

    def _volumes_changed(self, _old: Body | None, _new: Body | None) -> None:
        self._queue.wake(ClusterEvent.VOLUMES, self._clock.monotonic())
        self._awake.set()

    def _runtime_class_changed(self, old: Body | None, new: Body | None) -> None:
        body = new or old
        assert body is not None, "an informer tells of something"
        self._cycle.put_runtime_class(body["metadata"]["name"], new.get("handler") if new else None)
        self._queue.wake(ClusterEvent.NODE_FEATURES, self._clock.monotonic())
        self._awake.set()


def _has_ended(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _same_place(old: Body, new: Body) -> bool:
    """Whether an update cannot matter to the use of a node; most are status reports of running pods."""
    return (
        bool(old["spec"].get("nodeName"))
        and old["metadata"]["uid"] == new["metadata"]["uid"]
        and _has_ended(old) == _has_ended(new)
        and old["spec"] == new["spec"]
    )
