from __future__ import annotations

from protocol.objects.podrequests import known_amounts, limited, pod_requests
from tests.support.scheduling import container

MI = 1024 * 1024


def test_containers_run_together() -> None:
    spec = {"containers": [container(cpu="250m", memory="64Mi"), container(cpu="1", memory="128Mi")]}
    assert pod_requests(spec) == {"cpu": 1250, "memory": 192 * MI, "pods": 1}


def test_an_init_container_counts_only_where_it_asks_for_more() -> None:
    spec = {
        "initContainers": [container(cpu="2"), container(memory="32Mi")],
        "containers": [container(cpu="500m", memory="64Mi")],
    }
    assert pod_requests(spec) == {"cpu": 2000, "memory": 64 * MI, "pods": 1}


def test_a_sidecar_runs_beside_later_init_containers_and_the_containers() -> None:
    sidecar = {**container(cpu="100m"), "restartPolicy": "Always"}
    spec = {"initContainers": [sidecar, container(cpu="300m")], "containers": [container(cpu="350m")]}
    assert pod_requests(spec)["cpu"] == 450
    spec["initContainers"][1] = container(cpu="700m")
    assert pod_requests(spec)["cpu"] == 800


def test_an_init_container_before_a_sidecar_runs_without_it() -> None:
    sidecar = {**container(cpu="100m"), "restartPolicy": "Always"}
    spec = {"initContainers": [container(cpu="500m"), sidecar], "containers": [container(cpu="200m")]}
    assert pod_requests(spec)["cpu"] == 500


def test_overhead_is_on_top_and_zero_is_left_out() -> None:
    spec = {"containers": [container(cpu="1", memory="0")], "overhead": {"cpu": "50m", "memory": "8Mi"}}
    assert pod_requests(spec) == {"cpu": 1050, "memory": 8 * MI, "pods": 1}
    assert pod_requests({"containers": [container(**{"example.com/gpu": "0"})]}) == {"pods": 1}


def test_pod_level_requests_stand_in_for_the_containers() -> None:
    spec = {"containers": [container(cpu="1", memory="64Mi")], "resources": {"requests": {"cpu": "3"}}}
    assert pod_requests(spec) == {"cpu": 3000, "memory": 64 * MI, "pods": 1}


def test_a_node_quantity_that_cannot_be_read_counts_as_nothing() -> None:
    assert known_amounts({"cpu": "4", "memory": "lots"}) == {"cpu": 4000, "memory": 0}


def test_what_a_nodes_pods_ask_for_adds_up_within_64_bits() -> None:
    huge = container(cpu="1e30", memory="1e30")
    assert 100 * pod_requests({"containers": [huge, huge]})["cpu"] < 2**63


def test_a_limit_stands_in_for_a_request_and_a_request_for_a_limit() -> None:
    one = {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "64Mi"}}}
    assert pod_requests({"containers": [one]}) == {"cpu": 1000, "memory": 64 * MI, "pods": 1}
    assert limited(one) == {"cpu": 2000, "memory": 64 * MI}
    assert limited(container(cpu="300m")) == {"cpu": 300}
