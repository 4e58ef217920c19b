from __future__ import annotations

from itertools import pairwise

from tests.support.faultschedule import CLOUD, Kind, Scope, plan

EDGES = ("e1", "e2", "e3")
SEEDS = range(50)


def test_a_seed_repeats_and_another_differs() -> None:
    assert plan(5, EDGES, Scope()) == plan(5, EDGES, Scope())
    assert plan(5, EDGES, Scope()) != plan(6, EDGES, Scope())


def test_every_seed_has_every_kind_of_fault_in_time() -> None:
    scope = Scope()
    for seed in SEEDS:
        faults = plan(seed, EDGES, scope)
        assert {fault.kind for fault in faults} == set(Kind)
        assert faults == sorted(faults, key=lambda fault: fault.at_s)
        assert all(0 <= fault.at_s < scope.faults_s for fault in faults)
        assert {fault.target for fault in faults} == {CLOUD, *EDGES}


def test_weather_never_overlaps_on_one_link() -> None:
    for seed in SEEDS:
        for edge in EDGES:
            spells = [f for f in plan(seed, EDGES, Scope()) if f.kind is Kind.WEATHER and f.target == edge]
            for before, after in pairwise(spells):
                assert before.at_s + before.for_s <= after.at_s


def test_all_sorts_of_weather_come_up_within_twenty_seeds() -> None:
    seen = {fault.name for seed in range(20) for fault in plan(seed, EDGES, Scope()) if fault.kind is Kind.WEATHER}
    assert {"far", "lossy", "disorderly", "thin", "awful", "cut", "reset"} <= seen
    assert {"half-open, nothing comes down", "half-open, nothing goes up"} <= seen


def test_a_stretched_scope_has_pauses_of_tens_of_seconds() -> None:
    scope = Scope(faults_s=150.0, stretch=5.0)
    pauses = [f.for_s for seed in SEEDS for f in plan(seed, EDGES, scope) if f.kind is Kind.PAUSE]
    assert max(pauses) > 30.0
    assert max(pauses) <= 40.0
