from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.podqueue import FLUSH_S, Place, PodQueue, QueuedPod
from protocol.objects.keys import Body, ObjectKey
from tests.support.examples import trying
from tests.support.scheduling import pod

FREED = frozenset({ClusterEvent.CAPACITY_FREED})
NODES = frozenset({ClusterEvent.NODE_ADDED})


def key(name: str) -> ObjectKey:
    return ObjectKey("pods", "default", name)


def queue_with(*pods: Body) -> PodQueue:
    queue = PodQueue()
    for body in pods:
        queue.put(key(body["metadata"]["name"]), body)
    return queue


def names(queue: PodQueue) -> list[str]:
    found = []
    while (queued := queue.pop()) is not None:
        found.append(queued.key.name)
    return found


def pop(queue: PodQueue) -> QueuedPod:
    queued = queue.pop()
    assert queued is not None
    return queued


def test_pods_leave_by_priority_then_by_age() -> None:
    queue = queue_with(pod("a"), pod("b", priority=5), pod("c"), pod("d", priority=5), pod("e", priority=-1))
    assert names(queue) == ["b", "d", "a", "c", "e"]


def test_a_pod_is_under_way_until_it_is_settled() -> None:
    queue = queue_with(pod("a"))
    queued = pop(queue)
    queue.put(key("a"), pod("a"))
    assert queue.pop() is None
    assert queue.active_count == 1
    queue.remove(key("a"))
    assert (queue.active_count, len(queue)) == (0, 0)
    queue.retry(queued, 0.0)
    queue.unschedulable(queued, FREED, 0.0)
    assert len(queue) == 0


def test_unschedulable_pods_do_not_count_as_active() -> None:
    queue = queue_with(pod("a"), pod("b"))
    queue.unschedulable(pop(queue), FREED, 0.0)
    assert queue.active_count == 1
    assert queue.counts()[Place.UNSCHEDULABLE] == 1


def test_an_event_wakes_those_who_wait_for_it() -> None:
    queue = queue_with(pod("a"), pod("b"))
    queue.unschedulable(pop(queue), FREED, 0.0)
    queue.unschedulable(pop(queue), NODES, 0.0)
    queue.wake(ClusterEvent.CAPACITY_FREED, 100.0)
    assert names(queue) == ["a"]
    queue.wake(ClusterEvent.NODE_ADDED, 100.0)
    assert names(queue) == ["b"]


def test_a_woken_pod_waits_for_its_back_off() -> None:
    queue = queue_with(pod("a"))
    queue.unschedulable(pop(queue), FREED, 10.0)
    queue.wake(ClusterEvent.CAPACITY_FREED, 10.5)
    assert (queue.pop(), queue.next_timer()) == (None, 11.0)
    queue.handle_timer(10.9)
    assert queue.pop() is None
    queue.handle_timer(11.0)
    assert names(queue) == ["a"]


def test_back_off_doubles_up_to_a_limit() -> None:
    queue = queue_with(pod("a"))
    now, delays = 0.0, []
    for _ in range(7):
        queue.retry(pop(queue), now)
        timer = queue.next_timer()
        assert timer is not None
        delays.append(timer - now)
        now = timer
        queue.handle_timer(now)
    assert delays == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_an_unschedulable_pod_is_tried_again_after_a_while_whatever_happens() -> None:
    queue = queue_with(pod("a"))
    queue.unschedulable(pop(queue), frozenset(), 50.0)
    assert queue.next_timer() == 50.0 + FLUSH_S
    queue.handle_timer(50.0 + FLUSH_S)
    assert names(queue) == ["a"]
    assert queue.next_timer() is None


def test_a_pod_that_asks_for_something_else_gets_a_new_chance_at_once() -> None:
    queue = queue_with(pod("a"))
    queue.unschedulable(pop(queue), NODES, 0.0)
    told = {**pod("a"), "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}
    queue.put(key("a"), told)
    assert queue.pop() is None
    queue.put(key("a"), pod("a", tolerations=[{"operator": "Exists"}]))
    assert pop(queue).body["spec"]["tolerations"] == [{"operator": "Exists"}]


def test_a_pod_made_again_under_its_name_is_another_pod() -> None:
    queue = queue_with(pod("a"))
    first = pop(queue)
    second = pod("a")
    second["metadata"]["uid"] = "another"
    queue.put(key("a"), second)
    assert queue.get(key("a")) is not first
    queue.retry(first, 0.0)
    assert pop(queue).uid == "another"
    queue.check_invariants()


class QueueMachine(RuleBasedStateMachine):
    """Every accepted pod stays queued until it is removed, and comes up again."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = PodQueue()
        self.present: set[str] = set()
        self.under_way: list[QueuedPod] = []
        self.now = 0.0

    @rule(name=st.sampled_from("abcdef"), priority=st.integers(0, 2), cpu=st.sampled_from(["1", "2"]))
    def put(self, name: str, priority: int, cpu: str) -> None:
        self.queue.put(key(name), pod(name, priority=priority, requests={"cpu": cpu}))
        self.present.add(name)

    @rule(name=st.sampled_from("abcdef"))
    def remove(self, name: str) -> None:
        self.queue.remove(key(name))
        self.present.discard(name)

    @rule()
    def pop(self) -> None:
        queued = self.queue.pop()
        if queued is not None:
            self.under_way.append(queued)

    @rule(events=st.frozensets(st.sampled_from(ClusterEvent)), again=st.booleans(), data=st.data())
    def settle(self, events: Any, again: bool, data: st.DataObject) -> None:
        if self.under_way:
            queued = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
            if again:
                self.queue.retry(queued, self.now)
            else:
                self.queue.unschedulable(queued, events, self.now)

    @rule(event=st.sampled_from(ClusterEvent))
    def wake(self, event: ClusterEvent) -> None:
        self.queue.wake(event, self.now)

    @rule(seconds=st.sampled_from([0.5, 2.0, 20.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.queue.handle_timer(self.now)

    @invariant()
    def nothing_is_lost(self) -> None:
        self.queue.check_invariants()
        assert len(self.queue) == len(self.present)

    def teardown(self) -> None:
        for queued in self.under_way:
            self.queue.retry(queued, self.now)
        self.queue.handle_timer(self.now + 2 * FLUSH_S)
        assert set(names(self.queue)) == self.present


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = trying(40, stateful_step_count=30)
