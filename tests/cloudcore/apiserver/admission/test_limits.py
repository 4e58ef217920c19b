from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import Forbidden
from protocol.objects.keys import Body
from tests.support.registries import a_pod


def a_range(*items: Body) -> Body:
    return {"metadata": {"name": "bounds", "namespace": "default"}, "spec": {"limits": list(items)}}


def container(name: str = "app", **resources: Any) -> Body:
    return {"name": name, "image": "i", "resources": resources}


async def test_containers_get_the_defaults_that_they_do_not_state(client: LocalClient) -> None:
    item = {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"}}
    await client.create("limitranges", a_range(item))
    stated = container(requests={"cpu": "2"}, limits={"cpu": "3"})
    pod = await client.create("pods", a_pod(containers=[stated, container("b")]))
    first, second = (each["resources"] for each in pod["spec"]["containers"])
    assert first["requests"]["cpu"] == "2"
    assert first["limits"] == {"cpu": "3", "memory": "1Gi"}
    assert second["requests"]["cpu"] == "500m"
    assert second["limits"] == {"cpu": "1", "memory": "1Gi"}
    note = pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert note.startswith("LimitRanger plugin set: ")
    assert "memory limit for container app" in note
    assert pod["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    ("item", "resources", "why"),
    [
        (
            {"type": "Container", "max": {"cpu": "1"}},
            {"limits": {"cpu": "2"}},
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"requests": {"memory": "1Gi"}},
            "maximum memory usage per Pod is 1Gi.  No limit is specified",
        ),
        (
            {"type": "Container", "min": {"memory": "64Mi"}},
            {"requests": {"memory": "32Mi"}},
            "minimum memory usage per Container is 64Mi, but request is 32Mi",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3",
        ),
    ],
)
async def test_pods_out_of_bounds_are_refused(client: LocalClient, item: Body, resources: Body, why: str) -> None:
    await client.create("limitranges", a_range(item))
    with pytest.raises(Forbidden) as refused:
        await client.create("pods", a_pod(containers=[container(**resources)]))
    assert refused.value.message.startswith('pods "web" is forbidden: ')
    assert why in refused.value.message
    assert await client.list("pods") == []


async def test_a_claim_is_bounded_by_what_it_asks_for(client: LocalClient) -> None:
    await client.create("limitranges", a_range({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}))
    claim = {
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 1Gi, but"):
        await client.create("persistentvolumeclaims", claim)


async def test_a_range_is_for_its_own_namespace(client: LocalClient) -> None:
    body = a_range({"type": "Pod", "max": {"cpu": "1"}})
    body["metadata"]["namespace"] = "kube-system"
    await client.create("limitranges", body)
    assert await client.create("pods", a_pod())
