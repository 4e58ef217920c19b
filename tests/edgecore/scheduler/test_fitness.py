from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgecore.scheduler.fitness import Site, misfit
from protocol.objects.keys import Body
from tests.support.admissions import SITE, a_claimant

NODE: Body = {
    "metadata": {"name": "edge-1", "labels": {"zone": "east", "kubernetes.io/os": "linux"}},
    "spec": {
        "taints": [
            {"key": "dedicated", "value": "plc", "effect": "NoExecute"},
            {"key": "slow", "effect": "NoSchedule"},
        ]
    },
}
BARE: Body = {"metadata": {"name": "edge-1", "labels": {"zone": "east", "kubernetes.io/os": "linux"}}}
TOLERATES = [{"key": "dedicated", "operator": "Exists"}]


def required(key: str, value: str) -> Body:
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}},
    }


def reason(site: Site, handler: str | None = None, *, static: bool = False, **spec: Any) -> str:
    refusal = misfit(a_claimant("a", **spec), site, handler, static=static)
    return "" if refusal is None else refusal.reason


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ""),
        ({"nodeSelector": {"zone": "east"}}, ""),
        ({"nodeSelector": {"zone": "west"}}, "NodeAffinity"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, "NodeAffinity"),
        ({"affinity": required("zone", "east")}, ""),
        ({"affinity": required("zone", "west")}, "NodeAffinity"),
        ({"os": {"name": "linux"}}, ""),
        ({"os": {"name": "windows"}}, "PodOSNotSupported"),
    ],
)
def test_labels_and_operating_system(spec: dict[str, Any], expected: str) -> None:
    assert reason(replace(SITE, node=BARE), **spec) == expected


def test_only_noexecute_taints_concern_a_pod_that_is_bound() -> None:
    tainted = replace(SITE, node=NODE)
    assert reason(tainted) == "TaintToleration"
    assert reason(tainted, tolerations=TOLERATES) == ""
    assert reason(tainted, static=True) == ""


def test_without_its_node_object_labels_and_taints_are_not_judged() -> None:
    assert reason(SITE, nodeSelector={"zone": "west"}) == ""


def test_a_runtime_that_is_not_offered() -> None:
    assert reason(SITE, "process") == ""
    refusal = misfit(a_claimant("a"), SITE, "docker", static=False)
    assert refusal is not None
    assert refusal.reason == "RuntimeClass"
    assert 'didn\'t offer the runtime "docker"' in refusal.message
