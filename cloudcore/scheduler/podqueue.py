"""The queue of pods that wait for a node. Sans-IO; times are seconds on the driver's monotonic clock.

A pod is in one of four places::

    active ──pop──► under way ──unschedulable──► unschedulable ──event, or 5 min──► active or, until its
      ▲                 │                                                            back-off is over, backing off
      └──back-off over──┴──retry──► backing off

Active pods leave by priority, then by age. The bound on scheduling work is not here: what was accepted into the store
is queued, always. The API turns new pods away by :attr:`PodQueue.active_count` (429).
"""

from __future__ import annotations

import enum
import heapq
import itertools
from dataclasses import dataclass

from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.podshape import ShapeKey, shape_key
from protocol.backoff import RetryPolicy
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.sla import tier_of

BACKOFF = RetryPolicy(max_retries=None, initial_delay_s=1.0, max_delay_s=10.0, jitter=False)
FLUSH_S = 300.0
"""An unschedulable pod is tried again after so long whatever happens, in case an event was misjudged."""


class Place(enum.Enum):
    """Where a queued pod is."""

    ACTIVE = "active"
    UNDER_WAY = "under way"
    BACKING_OFF = "backing off"
    UNSCHEDULABLE = "unschedulable"


@dataclass(slots=True, eq=False)
class QueuedPod:
    """A pod in the queue.

    Attributes:
        key: Its name.
        uid: Its uid.
        body: Its newest state.
        shape: What it asks for.
        order: Its age among the queued.
        place: Where it is.
        attempts: How often it has been tried in vain.
        ready_at: Until when it backs off.
        failed_at: When it was last tried in vain.
        wakes: What may make it schedulable.
    """

    key: ObjectKey
    uid: Uid
    body: Body
    shape: ShapeKey
    order: int
    place: Place = Place.ACTIVE
    attempts: int = 0
    ready_at: float = 0.0
    failed_at: float = 0.0
    wakes: frozenset[ClusterEvent] = frozenset()

    @property
    def priority(self) -> int:
        """``spec.priority``."""
        return int(self.body["spec"].get("priority") or 0)


class PodQueue:
    """Pods that want a node, by what they wait for."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, QueuedPod] = {}
        self._counts = dict.fromkeys(Place, 0)
        self._order = itertools.count()
        # Heap entries are not removed when a pod moves on; they are passed over when they surface.
        self._active: list[tuple[int, int, QueuedPod]] = []
        self._backing_off: list[tuple[float, int, QueuedPod]] = []
        self._unschedulable: dict[ObjectKey, QueuedPod] = {}
        self._by_event: dict[ClusterEvent, dict[ObjectKey, QueuedPod]] = {event: {} for event in ClusterEvent}

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def active_count(self) -> int:
        """Pods that wait for their turn or are being placed; unschedulable ones and those that back off are not."""
        return self._counts[Place.ACTIVE] + self._counts[Place.UNDER_WAY]

    def counts(self) -> dict[Place, int]:
        """Return how many pods are in each place."""
        return dict(self._counts)

    def get(self, key: ObjectKey) -> QueuedPod | None:
        """Return the queued pod of that name."""
        return self._pods.get(key)

    def put(self, key: ObjectKey, body: Body) -> None:
        """Queue a pod, or take note that a queued one has changed; a change of what it asks for is a new chance."""
        uid, shape = Uid(body["metadata"]["uid"]), shape_key(body["spec"], tier_of(body))
        pod = self._pods.get(key)
        if pod is not None and pod.uid != uid:
            self.remove(key)
            pod = None
        if pod is None:
            pod = self._pods[key] = QueuedPod(key, uid, body, shape, next(self._order))
            self._counts[Place.ACTIVE] += 1
            heapq.heappush(self._active, (-pod.priority, pod.order, pod))
            return
        changed = pod.shape != shape
        pod.body, pod.shape = body, shape
        if changed and pod.place in (Place.UNSCHEDULABLE, Place.BACKING_OFF):
            self._activate(pod)

    def remove(self, key: ObjectKey) -> None:
        """Forget a pod: it is bound, deleted, or no longer ours."""
        pod = self._pods.pop(key, None)
        if pod is not None:
            self._leave(pod)

    def pop(self) -> QueuedPod | None:
        """Take the next active pod; it is under way until ``unschedulable``, ``retry`` or ``remove``."""
        while self._active:
            _, _, pod = heapq.heappop(self._active)
            if pod.place is Place.ACTIVE and self._pods.get(pod.key) is pod:
                self._move(pod, Place.UNDER_WAY)
                return pod
        return None

    def unschedulable(self, pod: QueuedPod, wakes: frozenset[ClusterEvent], now: float, *, failed: bool = True) -> None:
        """Put a pod that found no node aside until one of ``wakes`` happens.

        Args:
            pod: The pod.
            wakes: After which events to try again.
            now: The present time.
            failed: Whether that counts for its back-off; what only waits for its claims is placed at once then.
        """
        if self._pods.get(pod.key) is not pod:
            return
        if failed:
            self._fail(pod, now)
        else:
            pod.failed_at = now
        self._move(pod, Place.UNSCHEDULABLE)
        pod.wakes = wakes
        self._unschedulable[pod.key] = pod
        for event in wakes:
            self._by_event[event][pod.key] = pod

    def retry(self, pod: QueuedPod, now: float) -> None:
        """Try a pod whose placement could not be carried out again after its back-off."""
        if self._pods.get(pod.key) is pod:
            self._fail(pod, now)
            self._back_off(pod)

    def wake(self, event: ClusterEvent, now: float) -> None:
        """Give the pods that wait for ``event`` another chance, when their back-off is over."""
        woken = list(self._by_event[event].values())
        for pod in woken:
            if pod.ready_at <= now:
                self._activate(pod)
            else:
                self._leave_unschedulable(pod)
                self._back_off(pod)

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        times = [entry[0] for entry in self._backing_off[:1]]
        oldest = next(iter(self._unschedulable.values()), None)
        if oldest is not None:
            times.append(oldest.failed_at + FLUSH_S)
        return min(times, default=None)

    def handle_timer(self, now: float) -> None:
        """Activate what has backed off or waited long enough."""
        while self._backing_off and self._backing_off[0][0] <= now:
            ready_at, _, pod = heapq.heappop(self._backing_off)
            current = self._pods.get(pod.key) is pod and pod.place is Place.BACKING_OFF
            if current and pod.ready_at == ready_at:
                self._activate(pod)
        for pod in list(itertools.takewhile(lambda pod: pod.failed_at + FLUSH_S <= now, self._unschedulable.values())):
            self._activate(pod)

    def check_invariants(self) -> None:
        """Check what must always hold (for tests).

        Raises:
            AssertionError: It does not.
        """
        for place in Place:
            assert self._counts[place] == sum(pod.place is place for pod in self._pods.values())
        waiting = {key for key, pod in self._pods.items() if pod.place is Place.UNSCHEDULABLE}
        assert set(self._unschedulable) == waiting
        assert all(set(pods) <= waiting for pods in self._by_event.values())

    def _fail(self, pod: QueuedPod, now: float) -> None:
        pod.attempts += 1
        pod.failed_at = now
        pod.ready_at = now + BACKOFF.bound_s(pod.attempts - 1)

    def _activate(self, pod: QueuedPod) -> None:
        self._leave_unschedulable(pod)
        self._move(pod, Place.ACTIVE)
        heapq.heappush(self._active, (-pod.priority, pod.order, pod))

    def _back_off(self, pod: QueuedPod) -> None:
        self._move(pod, Place.BACKING_OFF)
        heapq.heappush(self._backing_off, (pod.ready_at, pod.order, pod))

    def _move(self, pod: QueuedPod, place: Place) -> None:
        self._counts[pod.place] -= 1
        self._counts[place] += 1
        pod.place = place

    def _leave(self, pod: QueuedPod) -> None:
        self._leave_unschedulable(pod)
        self._counts[pod.place] -= 1

    def _leave_unschedulable(self, pod: QueuedPod) -> None:
        if self._unschedulable.pop(pod.key, None) is not None:
            for event in pod.wakes:
                self._by_event[event].pop(pod.key, None)
