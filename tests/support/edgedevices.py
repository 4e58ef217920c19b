"""Devices for tests: a model, an instance, and what a cloud sends of them."""

from __future__ import annotations

from typing import Any

import msgpack

from protocol.messages import Item, Op
from protocol.objects.devices import DEVICE_MODELS, DEVICES, GROUP_VERSION
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

MODEL: Body = {
    "apiVersion": GROUP_VERSION,
    "kind": "DeviceModel",
    "metadata": {"name": "thermostat", "namespace": "default", "uid": "model-1"},
    "spec": {
        "protocol": "modbus",
        "properties": [
            {"name": "target", "type": "INT", "accessMode": "ReadWrite", "minimum": "5", "maximum": "35"},
            {"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly", "unit": "degree celsius"},
            {"name": "on", "type": "BOOLEAN", "accessMode": "ReadWrite"},
            {"name": "label", "type": "STRING", "accessMode": "ReadWrite"},
        ],
    },
}


def device(
    name: str = "hall", *, uid: str = "device-1", generation: int = 1, desired: dict[str, str] | None = None
) -> Body:
    """Return a Device of the model, with desired values."""
    properties: list[dict[str, Any]] = []
    for each in MODEL["spec"]["properties"]:
        row: dict[str, Any] = {"name": each["name"]}
        if desired and each["name"] in desired:
            row["desired"] = {"value": desired[each["name"]]}
        properties.append(row)
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "Device",
        "metadata": {"name": name, "namespace": "default", "uid": uid, "generation": generation},
        "spec": {"deviceModelRef": {"name": "thermostat"}, "nodeName": "edge-1", "properties": properties},
    }


def put(resource: str, body: Body, version: int) -> Item:
    """Return what a cloud sends of an object."""
    metadata = body["metadata"]
    key = ObjectKey(resource, metadata["namespace"], metadata["name"])
    return Item(Op.PUT, key, Uid(metadata["uid"]), Revision(version), msgpack.packb(body))


def sent(version: int, *bodies: Body) -> list[Item]:
    """Return what a cloud sends of Devices and DeviceModels, versions from ``version`` on."""
    kinds = {"Device": DEVICES, "DeviceModel": DEVICE_MODELS}
    return [put(kinds[body["kind"]], body, version + number) for number, body in enumerate(bodies)]
