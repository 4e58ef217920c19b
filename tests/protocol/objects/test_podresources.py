from __future__ import annotations

import pytest

from protocol.objects.keys import Body
from protocol.objects.podresources import PodResources, pod_resources

MIB = 1 << 20


def container(cpu: str = "", memory: str = "", limit: str = "", *, sidecar: bool = False) -> Body:
    requests = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    limits = {"memory": limit} if limit else {}
    body: Body = {"name": "c", "resources": {"requests": requests, "limits": limits}}
    return {**body, "restartPolicy": "Always"} if sidecar else body


def test_the_containers_of_a_pod_add_up() -> None:
    spec = {"containers": [container("100m", "64Mi", "128Mi"), container("200m", "64Mi", "64Mi")]}
    assert pod_resources(spec) == PodResources(300, None, 128 * MIB, 192 * MIB)


def test_one_container_without_a_limit_leaves_the_pod_without() -> None:
    spec = {"containers": [container("100m", "64Mi", "128Mi"), container("200m")]}
    assert pod_resources(spec).memory_limit_bytes is None


def test_an_init_container_runs_before_the_others() -> None:
    spec = {"containers": [container("100m", "", "64Mi")], "initContainers": [container("500m", "", "32Mi")]}
    assert pod_resources(spec) == PodResources(500, None, 64 * MIB, 64 * MIB)


def test_an_init_container_runs_with_the_sidecars_before_it() -> None:
    first, sidecar, second = container("300m"), container("100m", sidecar=True), container("250m")
    spec = {"containers": [container("200m")], "initContainers": [first, sidecar, second]}
    assert pod_resources(spec).cpu_request_m == 350


def test_a_request_that_is_not_stated_takes_the_limit() -> None:
    assert pod_resources({"containers": [container("", "", "64Mi")]}).memory_request_bytes == 64 * MIB


def test_the_pods_own_amounts_stand_in_for_the_sum() -> None:
    spec = {"containers": [container("100m")], "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}}}
    assert pod_resources(spec) == PodResources(2000, 3000)


def test_the_overhead_comes_on_top() -> None:
    spec = {"containers": [container("100m", "", "64Mi")], "overhead": {"cpu": "10m", "memory": "1Mi"}}
    assert pod_resources(spec) == PodResources(110, None, 65 * MIB, 65 * MIB)


@pytest.mark.parametrize("spec", [{}, {"containers": []}, {"containers": [{"name": "a"}]}])
def test_a_pod_that_states_nothing(spec: Body) -> None:
    assert pod_resources(spec) == PodResources()


def test_a_limit_of_zero_is_none() -> None:
    assert pod_resources({"containers": [container("", "", "0")]}).memory_limit_bytes is None
