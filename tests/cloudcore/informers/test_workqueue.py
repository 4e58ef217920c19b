from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloudcore.informers.workqueue import WorkQueue


def doubling(attempt: int) -> float:
    return float(2 ** (attempt - 1))


def test_a_key_added_twice_is_handed_out_once() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add("a", now=0.0)
    queue.add("b", now=0.0)
    queue.add("a", now=0.0)
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["a", "b", None]


def test_a_key_added_while_worked_on_waits_for_its_worker() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add("a", now=0.0)
    assert queue.take(0.0) == "a"
    queue.add("a", now=0.0)
    assert queue.take(0.0) is None
    queue.done("a", 1.0)
    assert queue.take(1.0) == "a"
    queue.done("a", 2.0)
    assert queue.take(2.0) is None
    assert queue.idle


def test_a_delayed_key_comes_when_due_and_the_earliest_time_counts() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add_after("a", 10.0, now=0.0)
    queue.add_after("a", 5.0, now=0.0)
    queue.add_after("a", 20.0, now=0.0)
    assert queue.next_timer() == 5.0
    assert queue.take(4.9) is None
    assert queue.take(5.0) == "a"
    queue.done("a", 5.0)
    assert queue.take(100.0) is None
    assert queue.next_timer() is None


def test_retries_back_off_until_forgotten() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    assert [queue.retry("a", now=0.0) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert queue.attempts("a") == 3
    queue.forget("a")
    assert queue.retry("a", now=0.0) == 1.0
    assert queue.retry("b", now=0.0, at_once=True) == 0.0
    assert queue.take(0.0) == "b"


def test_a_held_key_waits_whoever_adds_it() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add("a", now=0.0)
    assert queue.take(0.0) == "a"
    queue.add("a", now=0.5)
    queue.hold("a", 7.0, now=1.0)
    queue.done("a", 1.0)
    queue.add("a", now=2.0)
    assert queue.take(7.9) is None
    assert queue.take(8.0) == "a"
    queue.done("a", 8.0)
    queue.add("a", now=8.0)
    assert queue.take(8.0) == "a"


def test_counters_tell_how_long_keys_waited() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add("a", now=1.0)
    queue.add("b", now=1.0)
    queue.take(2.0)
    queue.take(5.0)
    counters = queue.counters
    assert (counters.added, counters.taken, counters.waited_s, counters.worst_wait_s) == (2, 2, 5.0, 4.0)


@given(st.lists(st.tuples(st.sampled_from(["add", "after", "take", "done"]), st.integers(0, 3)), max_size=60))
def test_no_key_is_lost_and_none_has_two_workers(steps: list[tuple[str, int]]) -> None:
    queue: WorkQueue[int] = WorkQueue(doubling)
    working: set[int] = set()
    owed: set[int] = set()
    now = 0.0
    for step, key in steps:
        now += 1.0
        if step == "add":
            queue.add(key, now)
            owed.add(key)
        elif step == "after":
            queue.add_after(key, 3.0, now)
            owed.add(key)
        elif step == "take":
            taken = queue.take(now)
            if taken is not None:
                assert taken not in working
                working.add(taken)
                owed.discard(taken)
        elif key in working:
            working.discard(key)
            queue.done(key, now)
    for key in working:
        queue.done(key, now)
    remaining = set()
    while (taken := queue.take(now + 100.0)) is not None:
        remaining.add(taken)
        queue.done(taken, now + 100.0)
    assert owed <= remaining


def test_a_resting_key_coalesces_what_adds_it_and_is_not_woken_without() -> None:
    queue: WorkQueue[str] = WorkQueue(doubling)
    queue.add("a", now=0.0)
    assert queue.take(0.0) == "a"
    queue.rest("a", 5.0, now=0.0)
    queue.done("a", 0.0)
    assert queue.next_timer() is None
    queue.add("a", now=1.0)
    queue.add("a", now=2.0)
    assert (queue.take(4.9), queue.take(5.0), queue.take(5.0)) == (None, "a", None)
