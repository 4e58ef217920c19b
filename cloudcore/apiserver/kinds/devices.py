"""Rows of KubeEdge's group of devices: kinds of this server, with schemas as a definition would state them."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.custom.version import CustomVersion
from cloudcore.apiserver.kinds.deviceschemas import DEVICE, MODEL, STATUS
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.devices import DeviceRules, ModelRules
from protocol.objects.devices import GROUP
from protocol.objects.keys import Body

_VERSION: Final = "v1beta1"
_OF_PEOPLE: Final = ("reportToCloud", "reportCycle")
"""What KubeEdge lets people state in a Device's status: how its mapper is to report its state."""


def new_device(body: Body) -> None:
    """Start a Device without a state: what a manifest's status says was observed by nobody."""
    given = body.pop("status", None) or {}
    kept = {name: given[name] for name in _OF_PEOPLE if name in given}
    if kept:
        body["status"] = kept


def _columns(*named: tuple[str, str, str]) -> list[dict[str, object]]:
    return [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in named]


_AGE: Final = ("Age", "date", ".metadata.creationTimestamp")
_model = CustomVersion(
    {
        "schema": {"openAPIV3Schema": MODEL},
        "additionalPrinterColumns": _columns(("Protocol", "string", ".spec.protocol"), _AGE),
    }
)
_device = CustomVersion(
    {
        "schema": {"openAPIV3Schema": DEVICE},
        "additionalPrinterColumns": _columns(
            ("Model", "string", ".spec.deviceModelRef.name"),
            ("Node", "string", ".spec.nodeName"),
            ("Protocol", "string", ".spec.protocol.protocolName"),
            ("State", "string", ".status.state"),
            ("Last Online", "date", ".status.lastOnlineTime"),
            _AGE,
        ),
        "subresources": {"status": {}},
    }
)
_status = CustomVersion(
    {
        "schema": {"openAPIV3Schema": STATUS},
        "additionalPrinterColumns": _columns(
            ("State", "string", ".status.state"), ("Last Online", "date", ".status.lastOnlineTime"), _AGE
        ),
    }
)
_model_rules, _device_rules = ModelRules(_model), DeviceRules(_device)

ROWS: Final = (
    Kind(
        kind="DeviceModel",
        plural="devicemodels",
        group=GROUP,
        version=_VERSION,
        short_names=("dm",),
        generation=True,
        custom=_model,
        validate=_model_rules.check,
        validate_update=_model_rules.check_update,
        ratchets=True,
    ),
    Kind(
        kind="Device",
        plural="devices",
        group=GROUP,
        version=_VERSION,
        short_names=("dev",),
        subresources=(status_of("Device", GROUP, _VERSION),),
        fields={"spec.nodeName": ""},
        status=True,
        status_at_create=True,
        generation=True,
        custom=_device,
        prepare_create=new_device,
        validate=_device_rules.check,
        validate_update=_device_rules.check_update,
        validate_status=_device.check_update,
        ratchets=True,
    ),
    Kind(
        kind="DeviceStatus",
        plural="devicestatuses",
        group=GROUP,
        version=_VERSION,
        verbs=("get", "list"),
        custom=_status,
        virtual=True,
    ),
)
