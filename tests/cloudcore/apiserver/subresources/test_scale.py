from __future__ import annotations

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.scale import ScaleView
from cloudcore.errors import BadRequest, Conflict, Invalid
from tests.support.registries import a_deployment

DEPLOYMENTS = "deployments.apps"


async def test_a_scale_is_patched_and_returned(client: LocalClient, registry: Registry) -> None:
    await client.create(DEPLOYMENTS, a_deployment())
    scale = await client.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 4}}, subresource="scale")
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 4})
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    stored = await client.get(DEPLOYMENTS, "default", "web")
    assert stored["spec"]["replicas"] == 4
    assert stored["metadata"]["generation"] == 2
    assert scale["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


async def test_a_scale_is_updated_with_compare_and_swap(client: LocalClient) -> None:
    stored = await client.create(DEPLOYMENTS, a_deployment())
    old = {
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": stored["metadata"]["resourceVersion"]},
        "spec": {"replicas": 2},
    }
    await client.update(DEPLOYMENTS, old, subresource="scale")
    with pytest.raises(Conflict):
        await client.update(DEPLOYMENTS, {**old, "spec": {"replicas": 3}}, subresource="scale")


async def test_a_negative_scale_is_refused(client: LocalClient) -> None:
    await client.create(DEPLOYMENTS, a_deployment())
    with pytest.raises(Invalid, match=r"spec\.replicas: Invalid value: -2"):
        await client.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": -2}}, subresource="scale")


@pytest.mark.parametrize("spec", ["two", {"replicas": "two"}])
async def test_a_scale_of_the_wrong_type_is_refused(client: LocalClient, spec: object) -> None:
    stored = await client.create(DEPLOYMENTS, a_deployment())
    with pytest.raises(BadRequest):
        await client.patch(DEPLOYMENTS, "default", "web", {"spec": spec}, subresource="scale")
    assert await client.get(DEPLOYMENTS, "default", "web") == stored


def test_the_selector_is_written_as_text() -> None:
    expressions = [
        {"key": "b", "operator": "In", "values": ["x", "y"]},
        {"key": "c", "operator": "NotIn", "values": ["z", "w"]},
        {"key": "d", "operator": "Exists"},
        {"key": "e", "operator": "DoesNotExist"},
    ]
    body = a_deployment(selector={"matchLabels": {"a": "1"}, "matchExpressions": expressions})
    text = ScaleView().read(body)["status"]["selector"]
    assert text == "a=1,b in (x,y),c notin (z,w),d,!e"
