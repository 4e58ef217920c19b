"""Devices and their models in the API: KubeEdge's fields, kept and checked."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.admission.standard import admission_chain
from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import Invalid
from protocol.objects.devices import DEVICE_MODELS, DEVICES
from tests.support.devicemanifests import manifests
from tests.support.registries import make_registry

NAMESPACE = {"metadata": {"name": "default"}}
DEFINITION = {
    "metadata": {"name": DEVICES},
    "spec": {
        "group": "devices.kubeedge.io",
        "names": {"kind": "Device", "plural": "devices"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {}}},
            }
        ],
    },
}


@pytest.fixture
async def client() -> LocalClient:
    made = LocalClient(make_registry(admission_chain()))
    await made.create("namespaces", NAMESPACE)
    return made


def causes(error: Invalid) -> dict[str, str]:
    return {cause.field: cause.message for cause in error.causes}


async def test_kubeedges_manifests_are_taken_as_they_are(client: LocalClient) -> None:
    model, device = manifests()
    assert (await client.create(DEVICE_MODELS, model))["spec"] == model["spec"]
    stored = await client.create(DEVICES, device)
    assert stored["spec"] == device["spec"]
    assert stored["status"] == {"reportToCloud": True, "reportCycle": 10000}


async def test_what_a_manifest_says_was_observed_is_not_believed(client: LocalClient) -> None:
    _, device = manifests()
    device["status"] = {"state": "online", "twins": [{"propertyName": "target", "reported": {"value": "1"}}]}
    assert "status" not in await client.create(DEVICES, device)


async def test_unknown_fields_are_dropped(client: LocalClient) -> None:
    _, device = manifests()
    device["spec"]["colour"] = "red"
    device["spec"]["protocol"]["configData"]["anything"] = {"at": ["all"]}
    stored = await client.create(DEVICES, device)
    assert "colour" not in stored["spec"]
    assert stored["spec"]["protocol"]["configData"]["anything"] == {"at": ["all"]}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"type": "INTEGER"}, "spec.properties[0].type"),
        ({"type": None}, "spec.properties[0].type"),
        ({"accessMode": "WriteOnly"}, "spec.properties[0].accessMode"),
        ({"maximum": "warm"}, "spec.properties[0].maximum"),
        ({"minimum": "101"}, "spec.properties[0].maximum"),
        ({"type": "BOOLEAN"}, "spec.properties[0].maximum"),
        ({"name": "a b"}, "spec.properties[0].name"),
        ({"name": "k" * 129}, "spec.properties[0].name"),
        ({"name": "target"}, "spec.properties[1]"),
    ],
)
async def test_a_wrong_model_is_refused_by_field(client: LocalClient, changed: dict[str, Any], field: str) -> None:
    model, _ = manifests()
    model["spec"]["properties"][0] |= changed
    model["spec"]["properties"][0] = {k: v for k, v in model["spec"]["properties"][0].items() if v is not None}
    with pytest.raises(Invalid) as caught:
        await client.create(DEVICE_MODELS, model)
    assert field in causes(caught.value)


@pytest.mark.parametrize(
    ("index", "changed", "field"),
    [
        (1, {"desired": {"value": "31"}}, "spec.properties[1].desired.value"),
        (1, {"desired": {"value": "warm"}}, "spec.properties[1].desired.value"),
        (1, {"desired": {"value": "9" * 513}}, "spec.properties[1].desired.value"),
        (0, {"desired": {"value": "20"}}, "spec.properties[0].desired.value"),
        (0, {"name": "pressure"}, "spec.properties[0].name"),
        (0, {"collectCycle": -1}, "spec.properties[0].collectCycle"),
    ],
)
async def test_a_device_is_held_to_its_model(
    client: LocalClient, index: int, changed: dict[str, Any], field: str
) -> None:
    model, device = manifests()
    await client.create(DEVICE_MODELS, model)
    device["spec"]["properties"][index] |= changed
    with pytest.raises(Invalid) as caught:
        await client.create(DEVICES, device)
    assert field in causes(caught.value)


async def test_a_device_may_come_before_its_model(client: LocalClient) -> None:
    _, device = manifests()
    device["spec"]["properties"][1]["desired"]["value"] = "warm"
    await client.create(DEVICES, device)


async def test_a_method_controls_properties_that_there_are(client: LocalClient) -> None:
    _, device = manifests()
    device["spec"]["methods"] = [{"name": "open", "propertyNames": ["valve"]}, {"name": "close"}]
    del device["spec"]["deviceModelRef"]
    with pytest.raises(Invalid) as caught:
        await client.create(DEVICES, device)
    assert set(causes(caught.value)) == {
        "spec.deviceModelRef.name",
        "spec.methods[0].propertyNames[0]",
        "spec.methods[1].propertyNames",
    }


async def test_a_status_is_written_apart_and_raises_no_generation(client: LocalClient) -> None:
    _, device = manifests()
    stored = await client.create(DEVICES, device)
    stored["status"] = {"state": "online"}
    written = await client.update(DEVICES, stored, subresource="status")
    assert written["status"] == {"state": "online"}
    assert written["metadata"]["generation"] == 1


async def test_a_status_of_the_past_model_hinders_no_label(client: LocalClient) -> None:
    model, device = manifests()
    await client.create(DEVICE_MODELS, model)
    await client.create(DEVICES, device)
    await client.patch(DEVICE_MODELS, "default", "thermostat", {"spec": {"properties": None}})
    patched = await client.patch(DEVICES, "default", "hall", {"metadata": {"labels": {"floor": "2"}}})
    assert patched["metadata"]["labels"]["floor"] == "2"


async def test_kubeedges_own_definition_takes_no_kind_over(client: LocalClient) -> None:
    definition = await client.create("customresourcedefinitions.apiextensions.k8s.io", DEFINITION)
    accepted = {each["type"]: each["status"] for each in definition["status"]["conditions"]}
    assert accepted["NamesAccepted"] == "False"
    _, device = manifests()
    device["spec"]["properties"][0]["collectCycle"] = -1
    with pytest.raises(Invalid):
        await client.create(DEVICES, device)
