from __future__ import annotations

import pytest

from protocol.objects.keys import Body
from protocol.objects.qos import oom_score_adj, qos_class

SEED_SAMPLE = {"requests": {"memory": "256Mi", "cpu": "100m"}, "limits": {"memory": "512Mi", "cpu": "200m"}}
EQUAL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}}
LIMITS_ONLY = {"limits": {"cpu": "1", "memory": "1Gi"}}


def pod(*resources: Body, init: Body | None = None) -> Body:
    spec: Body = {"containers": [{"name": f"c{index}", "resources": part} for index, part in enumerate(resources)]}
    if init is not None:
        spec["initContainers"] = [{"name": "init", "resources": init}]
    return {"spec": spec}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (pod(SEED_SAMPLE), "Burstable"),
        (pod(EQUAL), "Guaranteed"),
        (pod(LIMITS_ONLY), "Guaranteed"),
        (pod(EQUAL, {}), "Burstable"),
        (pod(EQUAL, init={}), "Burstable"),
        (pod(EQUAL, init=EQUAL), "Guaranteed"),
        (pod({"limits": {"cpu": "1"}}), "Burstable"),
        (pod({}), "BestEffort"),
        (pod({"requests": {"cpu": "0"}}), "BestEffort"),
        (pod({"requests": {"example.com/gpu": "1"}}), "BestEffort"),
        ({"spec": {"containers": [{"name": "a"}]}}, "BestEffort"),
        # A request of zero is one, and not the limit's.
        (pod({"requests": {"cpu": "0"}, **LIMITS_ONLY}), "Burstable"),
        (pod({"limits": {"cpu": "0", "memory": "1Gi"}}), "Burstable"),
        # What the pod itself states stands for all its containers.
        ({"spec": {"resources": EQUAL, "containers": [{"name": "a"}]}}, "Guaranteed"),
        ({"spec": {"resources": SEED_SAMPLE, "containers": [{"name": "a", "resources": EQUAL}]}}, "Burstable"),
        ({"spec": {"resources": {}, "containers": [{"name": "a", "resources": EQUAL}]}}, "Guaranteed"),
    ],
)
def test_the_rules_of_kubernetes(subject: Body, expected: str) -> None:
    assert qos_class(subject) == expected


@pytest.mark.parametrize(
    ("requests", "limits", "priority", "score"),
    [
        ({}, {}, 0, 1000),
        ({}, {}, 2_000_000_000, 1000),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}, 0, -997),
        ({"memory": "256Mi"}, {}, 0, 750),
        ({"cpu": "1"}, {}, 0, 999),
        ({"memory": "1Ki"}, {}, 0, 999),
        ({"memory": "2Gi"}, {}, 0, 3),
        ({}, {"memory": "512Mi"}, 0, 500),
    ],
)
def test_victims_when_memory_ends(requests: Body, limits: Body, priority: int, score: int) -> None:
    container = {"name": "c", "resources": {"requests": requests, "limits": limits}}
    pod = {"spec": {"containers": [container], "priority": priority}}
    assert oom_score_adj(pod, container, 1 << 30) == score


def test_without_the_nodes_memory_a_burstable_pod_stands_between_the_others() -> None:
    container = {"name": "c", "resources": {"requests": {"memory": "1Gi"}}}
    assert oom_score_adj({"spec": {"containers": [container]}}, container, 0) == 999


@pytest.mark.parametrize(
    ("priority", "name", "score"),
    [
        (2_000_001_000, "system-node-critical", -997),
        (2_000_000_000, "system-cluster-critical", 1000),
        (0, "system-node-critical", 1000),
    ],
)
def test_what_the_node_needs_is_shielded(priority: int, name: str, score: int) -> None:
    container: Body = {"name": "c"}
    spec = {"containers": [container], "priority": priority, "priorityClassName": name}
    assert oom_score_adj({"spec": spec}, container, 1 << 30) == score


def test_a_sidecar_outlives_what_it_serves() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"memory": "16Mi"}}}
    served = {"name": "c", "resources": {"requests": {"memory": "512Mi"}}}
    assert oom_score_adj({"spec": {"containers": [served], "initContainers": [sidecar]}}, sidecar, 1 << 30) == 500


def test_what_a_pod_requests_beyond_its_containers_is_theirs_in_equal_parts() -> None:
    first, second = {"name": "a", "resources": {"requests": {"memory": "256Mi"}}}, {"name": "b"}
    spec = {"containers": [first, second], "resources": {"requests": {"memory": "512Mi"}}}
    assert [oom_score_adj({"spec": spec}, each, 1 << 30) for each in (first, second)] == [625, 875]
