from __future__ import annotations

import pytest

from edgecore.scheduler.claims import claim_of, rank_of, total
from protocol.objects.keys import Body
from tests.support.admissions import a_claimant


def with_ports(uid: str, *ports: tuple[int, str, str]) -> Body:
    body = a_claimant(uid)
    listed = [{"containerPort": 80, "hostPort": n, "protocol": protocol, "hostIP": ip} for n, protocol, ip in ports]
    body["spec"]["containers"][0]["ports"] = listed
    return body


@pytest.mark.parametrize(
    ("there", "comer", "conflict"),
    [
        ((80, "TCP", ""), (80, "TCP", ""), True),
        ((80, "TCP", ""), (81, "TCP", ""), False),
        ((80, "TCP", ""), (80, "UDP", ""), False),
        ((80, "TCP", "0.0.0.0"), (80, "TCP", "127.0.0.1"), True),
        ((80, "TCP", "127.0.0.1"), (80, "TCP", "0.0.0.0"), True),
        ((80, "TCP", "127.0.0.1"), (80, "TCP", "10.0.0.1"), False),
        ((80, "TCP", "127.0.0.1"), (80, "TCP", "127.0.0.1"), True),
    ],
)
def test_host_ports(there: tuple[int, str, str], comer: tuple[int, str, str], conflict: bool) -> None:
    sums = total([claim_of(with_ports("a", there))])
    assert sums.conflicts(claim_of(with_ports("b", comer))) is conflict
    sums.take(claim_of(with_ports("a", there)))
    assert not sums.conflicts(claim_of(with_ports("b", comer)))


def test_a_port_that_is_only_the_containers_is_nobodys() -> None:
    body = a_claimant("a")
    body["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    assert claim_of(body).ports == frozenset()


def test_a_sidecars_host_port_counts_and_an_init_containers_does_not() -> None:
    body = a_claimant("a")
    ports = [{"containerPort": 1, "hostPort": 1}]
    body["spec"]["initContainers"] = [{"name": "i", "ports": ports}]
    assert claim_of(body).ports == frozenset()
    body["spec"]["initContainers"][0]["restartPolicy"] = "Always"
    assert claim_of(body).ports == {("TCP", 1, "")}


def test_critical_pods_rank_first_then_priority_then_age() -> None:
    static = a_claimant("zstatic", created="2026-11-23T14:00:00Z")
    static["metadata"]["annotations"] = {
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.hash": "zstatic",
    }
    pods = [
        a_claimant("young", priority=5, created="2026-11-23T13:00:00Z"),
        a_claimant("plain"),
        a_claimant("old", priority=5),
        a_claimant("critical", priority=2_000_001_000),
        static,
    ]
    ordered = [body["metadata"]["name"] for body in sorted(pods, key=rank_of)]
    assert ordered == ["critical", "zstatic", "old", "young", "plain"]
