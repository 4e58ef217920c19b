from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.cgroups.layout import (
    LEAST_SHARES,
    MOST_SHARES,
    Bounds,
    class_bounds,
    pod_folder,
    quota_of,
    shares_of,
    slice_of,
    values_of,
    weight_of,
)
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

MIB = 1 << 20


@pytest.mark.parametrize(
    ("quality", "folder", "unit"),
    [
        ("Guaranteed", "poda-b", "pods-poda_b.slice"),
        ("Burstable", "burstable/poda-b", "pods-burstable-poda_b.slice"),
        ("BestEffort", "besteffort/poda-b", "pods-besteffort-poda_b.slice"),
    ],
)
def test_where_a_pod_is(quality: QosClass, folder: str, unit: str) -> None:
    assert pod_folder(quality, Uid("a-b")) == folder
    assert slice_of("pods", quality, Uid("a-b")) == unit


@pytest.mark.parametrize("uid", ["", "../x", "a/b", "a\nb", "a\0b"])
def test_a_uid_that_cannot_name_a_folder(uid: str) -> None:
    with pytest.raises(ValueError, match="cannot name a control group"):
        pod_folder("Burstable", Uid(uid))


SEED = Bounds(
    cpu_shares=shares_of(1500), cpu_limit_m=1500, memory_limit_bytes=1024 * MIB, memory_spared_bytes=512 * MIB
)
"""The seed's ``--cpus=1.5 --memory=1024m --memory-reservation=512m``."""


def test_the_files_of_v1() -> None:
    assert values_of(SEED, 1) == {
        ("cpu", "cpu.shares"): "1536",
        ("cpu", "cpu.cfs_period_us"): "100000",
        ("cpu", "cpu.cfs_quota_us"): "150000",
        ("memory", "memory.limit_in_bytes"): str(1024 * MIB),
        ("memory", "memory.memsw.limit_in_bytes"): str(1024 * MIB),
        ("memory", "memory.soft_limit_in_bytes"): str(512 * MIB),
        ("pids", "pids.max"): "max",
    }


def test_the_files_of_v2() -> None:
    bounds = Bounds(1024, 1500, 1024 * MIB, 512 * MIB, 512 * MIB, 100, dies_whole=True)
    assert values_of(bounds, 2) == {
        ("cpu", "cpu.weight"): "39",
        ("cpu", "cpu.max"): "150000 100000",
        ("memory", "memory.max"): str(1024 * MIB),
        ("memory", "memory.swap.max"): "0",
        ("memory", "memory.min"): str(512 * MIB),
        ("memory", "memory.low"): str(512 * MIB),
        ("memory", "memory.oom.group"): "1",
        ("pids", "pids.max"): "100",
    }


def test_a_group_without_bounds_is_set_free_of_earlier_ones() -> None:
    assert values_of(Bounds(), 1)["memory", "memory.limit_in_bytes"] == "-1"
    assert values_of(Bounds(), 1)["cpu", "cpu.cfs_quota_us"] == "-1"
    assert values_of(Bounds(), 2)["cpu", "cpu.max"] == "max 100000"
    assert values_of(Bounds(), 2)["memory", "memory.max"] == "max"


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000)])
def test_weights_as_the_kubelet_converts_them(shares: int, weight: int) -> None:
    assert weight_of(shares) == weight


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_who_requests_more_never_weighs_less(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert LEAST_SHARES <= shares_of(less) <= shares_of(more) <= MOST_SHARES
    assert 1 <= weight_of(shares_of(less)) <= weight_of(shares_of(more)) <= 10_000
    assert 1_000 <= quota_of(less) <= quota_of(more)


def test_a_class_has_what_its_pods_are_promised() -> None:
    pods = [Bounds(cpu_shares=100, memory_spared_bytes=MIB), Bounds(cpu_shares=200, memory_spared_bytes=2 * MIB)]
    assert class_bounds(pods, "Burstable") == Bounds(cpu_shares=300, memory_spared_bytes=3 * MIB)
    assert class_bounds(pods, "BestEffort") == Bounds()
    assert class_bounds([], "Burstable") == Bounds()


def test_a_quota_without_measure_is_one_that_the_kernel_takes() -> None:
    assert quota_of((1 << 63) - 1) < 1 << 44
