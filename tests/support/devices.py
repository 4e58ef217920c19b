"""KubeEdge's manifests of a device and its model, as a user writes them."""

from __future__ import annotations

from protocol.objects.devices import GROUP_VERSION
from protocol.objects.keys import Body


def manifests() -> tuple[Body, Body]:
    """Return a DeviceModel, and a Device of it on ``edge-1``."""
    model: Body = {
        "apiVersion": GROUP_VERSION,
        "kind": "DeviceModel",
        "metadata": {"name": "thermostat", "namespace": "default"},
        "spec": {
            "protocol": "modbus",
            "properties": [
                {
                    "name": "temperature",
                    "description": "what it measures",
                    "type": "INT",
                    "accessMode": "ReadOnly",
                    "minimum": "-40",
                    "maximum": "100",
                    "unit": "degree celsius",
                },
                {"name": "target", "type": "INT", "accessMode": "ReadWrite", "minimum": "5", "maximum": "30"},
            ],
        },
    }
    register = {"register": "HoldingRegister", "offset": 2, "limit": 1, "scale": 1, "isSwap": True}
    device: Body = {
        "apiVersion": GROUP_VERSION,
        "kind": "Device",
        "metadata": {"name": "hall", "namespace": "default"},
        "spec": {
            "deviceModelRef": {"name": "thermostat"},
            "nodeName": "edge-1",
            "protocol": {"protocolName": "modbus", "configData": {"communicateMode": "TCP", "ip": "192.0.2.1"}},
            "properties": [
                {
                    "name": "temperature",
                    "collectCycle": 1000,
                    "reportCycle": 1000,
                    "reportToCloud": True,
                    "visitors": {"protocolName": "modbus", "configData": register},
                },
                {
                    "name": "target",
                    "desired": {"value": "21"},
                    "visitors": {"protocolName": "modbus", "configData": {**register, "offset": 3}},
                },
            ],
        },
        "status": {"reportToCloud": True, "reportCycle": 10000},
    }
    return model, device
