"""Labels a node may claim."""

from __future__ import annotations

import pytest

from cloudcore.security.nodelabels import LabelRefused, node_labels
from protocol.objects.keys import NodeName
from protocol.objects.wellknown import EDGE_ROLE, HOSTNAME

N1 = NodeName("n1")


def test_every_edge_node_has_its_name_and_role() -> None:
    assert node_labels(N1, {}) == {HOSTNAME: "n1", EDGE_ROLE: ""}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("site", "hall-3"),
        ("example.com/rack", "7"),
        ("kubernetes.io/arch", "arm64"),
        ("topology.kubernetes.io/zone", "north"),
        (HOSTNAME, "n1"),
        ("empty", ""),
    ],
)
def test_allowed(key: str, value: str) -> None:
    assert node_labels(N1, {key: value})[key] == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node-role.kubernetes.io/control-plane", ""),
        ("node-restriction.kubernetes.io/x", "y"),
        ("kubernetes.io/other", "y"),
        ("x.k8s.io/y", "z"),
        ("edge.aiokubeedge.io/x", "y"),
        (HOSTNAME, "n2"),
        ("bad key", "x"),
        ("a", "bad value"),
        ("a", "x" * 64),
        ("", "x"),
    ],
)
def test_refused(key: str, value: str) -> None:
    with pytest.raises(LabelRefused) as caught:
        node_labels(N1, {key: value})
    assert "\n" not in str(caught.value)
