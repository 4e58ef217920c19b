from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.probes import Known, Outcome, ProbeKind, Probes, ProbeSpec, probes_of

OK, BAD, ERROR, WARN = Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNKNOWN, Outcome.WARNING
STARTUP, LIVENESS, READINESS = ProbeKind.STARTUP, ProbeKind.LIVENESS, ProbeKind.READINESS


def spec(kind: ProbeKind, **fields: Any) -> ProbeSpec:
    return ProbeSpec(kind, {"exec": {"command": ["check"]}}, **fields)


def begun(*specs: ProbeSpec, at: float = 100.0, known: Known | None = None, seed: int = 1) -> Probes:
    return Probes(specs, began_at=at, now=at, known=known, rng=Random(seed))


def play(probes: Probes, kind: ProbeKind, *outcomes: Outcome, at: float = 100.0) -> None:
    """Probe until each of the outcomes of ``kind`` has come; other probes succeed."""
    for outcome in outcomes:
        while True:
            due = probes.due(at)
            for one in due:
                probes.note(one.kind, outcome if one.kind is kind else OK, at)
            if any(one.kind is kind for one in due):
                break
            following = probes.next_at()
            assert following is not None
            assert following > at
            at = following


def kinds(probes: Probes, at: float) -> set[str]:
    return {one.kind.value for one in probes.due(at)}


class TestSpecs:
    def test_kubernetes_defaults(self) -> None:
        (found,) = probes_of({"livenessProbe": {"tcpSocket": {"port": 80}}})
        assert found == ProbeSpec(LIVENESS, {"tcpSocket": {"port": 80}}, 0.0, 10.0, 1.0, 1, 3, None)

    def test_every_field(self) -> None:
        body = {"exec": {}, "initialDelaySeconds": 5, "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 4}
        body |= {"successThreshold": 2, "terminationGracePeriodSeconds": 0}
        (found,) = probes_of({"startupProbe": body})
        assert found == ProbeSpec(STARTUP, body, 5.0, 2.0, 3.0, 2, 4, 0.0)

    def test_a_grace_period_is_nothing_to_a_readiness_probe(self) -> None:
        (found,) = probes_of({"readinessProbe": {"exec": {}, "terminationGracePeriodSeconds": 9}})
        assert found.grace_s is None

    def test_none_are_stated(self) -> None:
        assert probes_of({"livenessProbe": None, "readinessProbe": {}}) == ()


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("success", "failure", "outcomes", "ready"),
        [
            (1, 3, [], False),
            (1, 3, [OK], True),
            (1, 3, [WARN], True),
            (1, 3, [ERROR], False),
            (1, 3, [OK, BAD, BAD], True),
            (1, 3, [OK, BAD, BAD, BAD], False),
            (1, 3, [OK, BAD, BAD, OK, BAD, BAD], True),
            (1, 3, [OK, BAD, BAD, ERROR, BAD], False),
            (1, 3, [OK, ERROR, ERROR, ERROR], True),
            (3, 1, [OK, OK], False),
            (3, 1, [OK, OK, OK], True),
            (3, 1, [OK, OK, BAD, OK, OK], False),
            (3, 1, [OK, OK, OK, BAD], False),
            (1, 1, [OK, BAD, OK], True),
        ],
    )
    def test_readiness(self, success: int, failure: int, outcomes: list[Outcome], ready: bool) -> None:
        probes = begun(spec(READINESS, success_threshold=success, failure_threshold=failure))
        play(probes, READINESS, *outcomes)
        assert (probes.ready, probes.failed) == (ready, None)

    @pytest.mark.parametrize("kind", [LIVENESS, STARTUP])
    @pytest.mark.parametrize(
        ("outcomes", "fails"), [([], False), ([BAD, BAD], False), ([BAD, BAD, BAD], True), ([BAD, ERROR, BAD], False)]
    )
    def test_liveness_and_startup_speak_by_failing(self, kind: ProbeKind, outcomes: list[Outcome], fails: bool) -> None:
        one = spec(kind)
        probes = begun(one)
        play(probes, kind, *outcomes)
        assert probes.failed is (one if fails else None)
        assert probes.started is (kind is LIVENESS)

    def test_without_probes_an_instance_is_started_and_ready(self) -> None:
        probes = begun()
        assert (probes.started, probes.ready, probes.next_at(), probes.due(1e9)) == (True, True, None, [])

    def test_what_was_not_asked_for_does_not_count(self) -> None:
        probes = begun(spec(READINESS, success_threshold=2))
        probes.due(100.0)
        for _ in range(5):
            probes.note(READINESS, OK, 100.0)
            probes.note(LIVENESS, BAD, 100.0)
        assert not probes.ready


class TestOrder:
    def test_startup_goes_before_the_others(self) -> None:
        probes = begun(spec(STARTUP), spec(LIVENESS), spec(READINESS))
        assert kinds(probes, 100.0) == {"Startup"}
        assert kinds(probes, 150.0) == set()
        probes.note(STARTUP, OK, 150.0)
        assert (probes.started, probes.ready) == (True, False)
        assert kinds(probes, 150.0) == {"Liveness", "Readiness"}

    def test_startup_alone_holds_readiness_back(self) -> None:
        probes = begun(spec(STARTUP))
        assert (probes.started, probes.ready) == (False, False)
        play(probes, STARTUP, OK)
        assert (probes.started, probes.ready, probes.next_at()) == (True, True, None)

    def test_the_others_initial_delay_counts_from_the_start_of_the_instance(self) -> None:
        probes = begun(spec(STARTUP), spec(LIVENESS, initial_delay_s=30.0))
        probes.due(100.0)
        probes.note(STARTUP, OK, 110.0)
        assert probes.next_at() == 130.0

    def test_what_has_failed_is_not_probed_again(self) -> None:
        probes = begun(spec(LIVENESS, failure_threshold=1), spec(READINESS))
        play(probes, LIVENESS, BAD)
        assert (probes.next_at(), probes.due(1e9)) == (None, [])


class TestTimes:
    def test_the_first_comes_after_the_initial_delay_and_the_next_a_period_later(self) -> None:
        probes = begun(spec(READINESS, initial_delay_s=5.0, period_s=2.0))
        assert probes.next_at() == 105.0
        assert kinds(probes, 104.9) == set()
        assert kinds(probes, 105.0) == {"Readiness"}
        probes.note(READINESS, OK, 105.5)
        assert probes.next_at() == 107.0

    def test_a_probe_is_not_sent_again_before_it_is_answered(self) -> None:
        probes = begun(spec(READINESS, period_s=1.0))
        probes.due(100.0)
        assert (probes.next_at(), probes.due(200.0)) == (None, [])
        probes.note(READINESS, OK, 200.0)
        assert kinds(probes, 200.0) == {"Readiness"}

    def test_what_is_taken_over_is_probed_spread_over_a_period(self) -> None:
        first = [
            begun(spec(LIVENESS, period_s=10.0), at=100.0, known=Known(True, True), seed=seed).next_at() or 0.0
            for seed in range(50)
        ]
        assert all(100.0 <= at < 110.0 for at in first)
        assert max(first) - min(first) > 5.0

    def test_what_is_taken_over_keeps_the_rest_of_its_initial_delay(self) -> None:
        one = spec(LIVENESS, initial_delay_s=60.0)
        probes = Probes((one,), began_at=100.0, now=120.0, known=Known(True, False), rng=Random(1))
        at = probes.next_at()
        assert at is not None
        assert 160.0 <= at < 170.0


class TestTakenOver:
    @pytest.mark.parametrize("ready", [True, False])
    def test_readiness_is_as_it_was_until_the_first_result(self, ready: bool) -> None:
        probes = begun(spec(READINESS), known=Known(started=True, ready=ready))
        assert probes.ready is ready

    def test_what_had_started_is_not_asked_again(self) -> None:
        probes = begun(spec(STARTUP), spec(READINESS), known=Known(started=True, ready=True))
        assert kinds(probes, 200.0) == {"Readiness"}

    def test_what_had_not_started_is_asked_again(self) -> None:
        probes = begun(spec(STARTUP), spec(READINESS), known=Known())
        assert kinds(probes, 200.0) == {"Startup"}


SPECS = st.fixed_dictionaries(
    {
        "initial_delay_s": st.sampled_from([0.0, 3.0]),
        "period_s": st.sampled_from([1.0, 2.0, 10.0]),
        "success_threshold": st.integers(1, 3),
        "failure_threshold": st.integers(1, 3),
    }
)


@given(
    st.dictionaries(st.sampled_from(list(ProbeKind)), SPECS),
    st.none() | st.builds(Known, st.booleans(), st.booleans()),
    st.lists(st.tuples(st.sampled_from(list(ProbeKind)), st.sampled_from(list(Outcome)), st.floats(0.0, 5.0))),
)
def test_whatever_comes_the_rules_hold(
    stated: dict[ProbeKind, dict[str, Any]],
    known: Known | None,
    steps: list[tuple[ProbeKind, Outcome, float]],
) -> None:
    probes = begun(*(spec(kind, **fields) for kind, fields in stated.items()), known=known)
    now = 100.0
    asked: set[ProbeKind] = set()
    for kind, outcome, passes in steps:
        now += passes
        for one in probes.due(now):
            assert one.kind not in asked, "asked again before it was answered"
            assert (one.kind is STARTUP) != probes.started
            asked.add(one.kind)
        following = probes.next_at()
        assert following is None or following > now
        started, failed = probes.started, probes.failed
        probes.note(kind, outcome, now)
        asked.discard(kind)
        probes.check_invariants()
        assert probes.started >= started, "what has started has started"
        assert failed is None or probes.failed is failed
        assert not (probes.failed and probes.due(now))
