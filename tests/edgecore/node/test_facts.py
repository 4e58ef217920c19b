from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgecore.node import facts
from edgecore.node.sampler import HostSampler


def test_this_machines_facts_make_sense(tmp_path: Path) -> None:
    found = facts.gather(tmp_path)
    assert found.cpus >= 1
    assert found.memory_bytes > 1 << 20
    assert found.disk_bytes > 1 << 20
    assert found.addresses
    assert found.kernel == platform.release()


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("riscv64", "riscv64")]
)
def test_architectures_are_spelled_as_kubernetes_does(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert facts.architecture() == expected


def test_samples_are_shares_and_rates(tmp_path: Path) -> None:
    sampler = HostSampler(tmp_path)
    first, second = sampler.sample(10.0), sampler.sample(20.0)
    assert (first.rx_bytes_s, first.tx_bytes_s) == (0.0, 0.0)
    assert second.rx_bytes_s >= 0
    for sample in (first, second):
        assert 0 <= sample.memory_used <= 1
        assert 0 <= sample.disk_used <= 1
        assert 0 < sample.processes < sample.processes_limit
