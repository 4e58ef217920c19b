from __future__ import annotations

import pytest

from cloudcore.apiserver.apply import apply
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.scale import ScaleView
from cloudcore.errors import BadRequest, Conflict, Invalid
from protocol.objects.resources import DEFINITIONS
from tests.support.definitions import CRONTABS, a_crontab, a_definition, a_version
from tests.support.registries import a_context, a_deployment, target

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


PATHS = {
    "specReplicasPath": ".spec.size.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


async def test_a_custom_scale_stands_for_the_fields_its_definition_names(client: LocalClient) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "object", "properties": {"replicas": {"type": "integer", "maximum": 5}}}
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = a_version(schema=schema, subresources={"scale": PATHS, "status": {}})
    await client.create(DEFINITIONS, a_definition(version))
    await client.create(CRONTABS, a_crontab())
    scale = await client.patch(CRONTABS, "default", "mine", {"spec": {"replicas": 4}}, subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 4}, {"replicas": 0})
    status = {"status": {"replicas": 3, "selector": "app=x"}}
    await client.patch(CRONTABS, "default", "mine", status, subresource="status")
    scale = await client.patch(CRONTABS, "default", "mine", {"spec": {"replicas": 5}}, subresource="scale")
    assert scale["status"] == {"replicas": 3, "selector": "app=x"}
    assert (await client.get(CRONTABS, "default", "mine"))["spec"] == {"size": {"replicas": 5}}
    with pytest.raises(Invalid, match=r"spec\.size\.replicas in body should be less than or equal to 5"):
        await client.patch(CRONTABS, "default", "mine", {"spec": {"replicas": 6}}, subresource="scale")


async def test_a_scale_is_applied_and_its_field_owned(registry: Registry, client: LocalClient) -> None:
    await client.create("deployments.apps", a_deployment(replicas=1))
    place = target(registry, "deployments.apps", "default", "web", "scale")
    config = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    record, created = await apply(registry, place, config, a_context(field_manager="hpa"), force=True)
    assert not created
    assert record.decode()["kind"] == "Scale"
    stored = await client.get("deployments.apps", "default", "web")
    assert stored["spec"]["replicas"] == 5
    owner = next(entry for entry in stored["metadata"]["managedFields"] if entry["manager"] == "hpa")
    assert (owner["subresource"], owner["operation"], owner["apiVersion"]) == ("scale", "Apply", "apps/v1")
    assert owner["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


async def test_only_a_scale_is_applied_to_a_scale(registry: Registry, client: LocalClient) -> None:
    await client.create("deployments.apps", a_deployment(replicas=1))
    place = target(registry, "deployments.apps", "default", "web", "scale")
    with pytest.raises(BadRequest, match="takes a Scale"):
        await apply(registry, place, {**a_deployment(), "apiVersion": "apps/v1", "kind": "Deployment"}, a_context())
