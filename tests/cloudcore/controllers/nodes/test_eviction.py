from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.nodes.eviction import plan, tolerates
from protocol.objects.keys import Body

TAINT = ("node.kubernetes.io/unreachable", "")
EXISTS: Body = {"key": TAINT[0], "operator": "Exists", "effect": "NoExecute"}


def pod(name: str, *tolerations: Body, **metadata: Any) -> Body:
    return {"metadata": {"name": name, **metadata}, "spec": {"tolerations": list(tolerations)}}


def test_pods_go_when_the_first_of_their_tolerations_ends() -> None:
    pods = [
        pod("now"),
        pod("soon", {**EXISTS, "tolerationSeconds": 30}),
        pod("sooner", {**EXISTS, "tolerationSeconds": 60}, {**EXISTS, "tolerationSeconds": 20}),
        pod("never", EXISTS),
        pod("never either", {"operator": "Exists"}),
    ]
    assert (names(plan({TAINT: 100.0}, pods, 100.0)), plan({TAINT: 100.0}, pods, 100.0).requeue_s) == (["now"], 20.0)
    assert names(plan({TAINT: 100.0}, pods, 130.0)) == ["now", "soon", "sooner"]
    assert plan({TAINT: 100.0}, pods, 1e9).requeue_s is None


def names(decided: Any) -> list[str]:
    return [entry["metadata"]["name"] for entry in decided.delete]


def test_every_taint_must_be_tolerated() -> None:
    assert names(plan({TAINT: 0.0, ("other", "x"): 0.0}, [pod("a", EXISTS)], 1.0)) == ["a"]
    assert plan({}, [pod("a")], 1.0).delete == ()


def test_pods_that_end_or_mirror_a_file_are_left_alone() -> None:
    pods = [
        pod("going", deletionTimestamp="t"),
        {**pod("ended"), "status": {"phase": "Succeeded"}},
        pod("mirror", annotations={"kubernetes.io/config.mirror": "x"}),
    ]
    assert plan({TAINT: 0.0}, pods, 1.0).delete == ()


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "k", "operator": "Equal", "value": "v"}, True),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "Equal"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations_match_as_in_kubernetes(toleration: Body, expected: bool) -> None:
    assert tolerates(toleration, "k", "v") is expected
