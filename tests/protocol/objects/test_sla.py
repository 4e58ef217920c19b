from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.keys import Body
from protocol.objects.sla import TIERS, Tier, charged, pod_ceilings, pod_charge, tier_of

MI = 1 << 20


def container(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: str) -> Body:
    return {"name": "c", "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def labelled(value: str | None) -> Body:
    return {"metadata": {"labels": {} if value is None else {"edge.aiokubeedge.io/sla": value}}}


@pytest.mark.parametrize(
    ("tier", "ceiling", "charge"),
    [("high", 1000, 900), ("medium", 1200, 1000), ("low", 1500, 1000), ("high", 1, 1), ("low", 1, 1), ("low", 0, 0)],
)
def test_the_formula(tier: Tier, ceiling: int, charge: int) -> None:
    assert charged(tier, ceiling) == charge


@given(st.sampled_from(TIERS), st.integers(0, 2**60))
def test_a_charge_is_the_exact_share_rounded_up(tier: Tier, ceiling: int) -> None:
    share = {"high": Fraction(9, 10), "medium": 1 / Fraction(12, 10), "low": 1 / Fraction(15, 10)}[tier]
    exact = share * ceiling
    assert exact <= charged(tier, ceiling) < exact + 1


@given(st.lists(st.tuples(st.sampled_from(TIERS), st.integers(1, 10_000)), max_size=30), st.integers(1, 50_000))
def test_what_is_admitted_keeps_the_inequality_and_the_high_tiers_share(
    pods: list[tuple[Tier, int]], allocatable: int
) -> None:
    used, admitted = 0, []
    for tier, limit in pods:
        charge = pod_charge({"containers": [container(limits={"cpu": f"{limit}m"})]}, tier)["cpu"]
        if used + charge <= allocatable:
            used += charge
            admitted.append((tier, limit))
    exact = {"high": Fraction(9, 10), "medium": Fraction(10, 12), "low": Fraction(10, 15)}
    reserved = {tier: sum(exact[tier] * limit for one, limit in admitted if one == tier) for tier in TIERS}
    assert sum(reserved.values()) <= allocatable
    assert reserved["high"] <= allocatable - reserved["medium"] - reserved["low"]


@pytest.mark.parametrize(
    ("value", "tier"), [("high", "high"), ("medium", "medium"), ("low", "low"), (None, None), ("gold", None)]
)
def test_the_tier_is_a_label(value: str | None, tier: Tier | None) -> None:
    assert tier_of(labelled(value)) == tier


def test_a_pod_without_a_tier_is_charged_what_it_requests() -> None:
    spec = {"containers": [container({"cpu": "100m"}, {"cpu": "1", "memory": "64Mi"})]}
    assert pod_charge(spec, None) == {"cpu": 100, "memory": 64 * MI, "pods": 1}


def test_a_request_stands_in_for_a_limit_that_is_missing() -> None:
    spec = {"containers": [container({"cpu": "500m"}, {"memory": "100Mi"}), container(limits={"cpu": "700m"})]}
    assert pod_ceilings(spec) == {"cpu": 1200, "memory": 100 * MI}
    assert pod_charge(spec, "medium")["cpu"] == 1000
    assert pod_charge({"containers": [container()]}, "high") == {"pods": 1}


def test_a_pod_level_limit_stands_in_for_the_containers() -> None:
    spec = {"containers": [container(limits={"cpu": "1"})], "resources": {"limits": {"cpu": "3"}}}
    assert pod_charge(spec, "low")["cpu"] == 2000


def test_init_containers_count_at_their_peak_and_sidecars_beside_the_rest() -> None:
    sidecar = container(limits={"cpu": "100m"}, restartPolicy="Always")
    spec = {
        "initContainers": [sidecar, container(limits={"cpu": "2900m"})],
        "containers": [container(limits={"cpu": "1"})],
    }
    assert pod_charge(spec, "low")["cpu"] == 2000
    spec["initContainers"][1] = container(limits={"cpu": "1m"})
    assert pod_charge(spec, "high")["cpu"] == 990


def test_overhead_and_what_cannot_be_throttled_are_charged_in_full() -> None:
    whole = {"cpu": "1500m", "ephemeral-storage": "1000", "example.com/gpu": "2"}
    spec = {"containers": [container(whole, whole)], "overhead": {"cpu": "50m"}}
    assert pod_charge(spec, "low") == {"cpu": 1050, "ephemeral-storage": 1000, "example.com/gpu": 2, "pods": 1}


def test_a_quantity_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        pod_charge({"containers": [container({"cpu": "much"})]}, "low")
