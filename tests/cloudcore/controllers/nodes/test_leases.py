from __future__ import annotations

from cloudcore.controllers.nodes.leases import AFTER_STALL_S, LeaseTracker


def test_a_lease_runs_out_grace_seconds_after_the_last_new_beat() -> None:
    tracker = LeaseTracker(0.0, 40.0)
    assert tracker.note("n", "1", now=10.0)
    assert not tracker.note("n", "1", now=30.0)
    assert tracker.look("n", now=30.0) == 20.0
    assert tracker.note("n", "2", now=31.0)
    assert tracker.look("n", now=50.0) == 21.0
    assert tracker.look("n", now=71.0) == 0.0


def test_a_node_never_heard_of_has_grace_from_the_start() -> None:
    tracker = LeaseTracker(100.0, 40.0)
    assert tracker.look("n", now=110.0) == 30.0


def test_time_in_which_nobody_looked_gives_time_to_be_heard() -> None:
    tracker = LeaseTracker(0.0, 40.0)
    tracker.note("n", "1", now=0.0)
    assert tracker.look("n", now=0.0) == 40.0
    assert tracker.look("n", now=3600.0) == AFTER_STALL_S
    assert tracker.look("n", now=3600.0 + AFTER_STALL_S) == 0.0


def test_a_forgotten_node_starts_over() -> None:
    tracker = LeaseTracker(0.0, 40.0)
    tracker.note("n", "1", now=0.0)
    tracker.forget("n")
    assert tracker.note("n", "1", now=100.0)
    assert tracker.look("n", now=100.0) == 40.0
