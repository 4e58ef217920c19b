"""Rows of this project's own group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.custom.version import CustomVersion
from cloudcore.apiserver.kinds.deviceschemas import CALL
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.devices import check_call_update
from cloudcore.apiserver.validation.rbac import check_account_rules

EDGE_GROUP: Final = "edge.aiokubeedge.io"
_call = CustomVersion(
    {
        "schema": {"openAPIV3Schema": CALL},
        "additionalPrinterColumns": [
            {"name": "Device", "type": "string", "jsonPath": ".spec.deviceName"},
            {"name": "Method", "type": "string", "jsonPath": ".spec.method"},
            {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            {"name": "Reason", "type": "string", "jsonPath": ".status.reason"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "subresources": {"status": {}},
    }
)

ROWS: Final = (
    Kind(
        kind="NodeLink",
        plural="nodelinks",
        group=EDGE_GROUP,
        version="v1alpha1",
        namespaced=False,
        short_names=("nl",),
        verbs=("get", "list"),
        virtual=True,
    ),
    Kind(
        kind="NodeSync",
        plural="nodesyncs",
        group=EDGE_GROUP,
        version="v1alpha1",
        namespaced=False,
        short_names=("nsy",),
        verbs=("get", "list"),
        virtual=True,
    ),
    Kind(
        kind="ObjectTrace",
        plural="objecttraces",
        group=EDGE_GROUP,
        version="v1alpha1",
        namespaced=False,
        short_names=("otr",),
        verbs=("create", "delete", "get", "list"),
        virtual=True,
    ),
    Kind(
        kind="DeviceCall",
        plural="devicecalls",
        group=EDGE_GROUP,
        version="v1alpha1",
        short_names=("dc",),
        subresources=(status_of("DeviceCall", EDGE_GROUP, "v1alpha1"),),
        status=True,
        generation=True,
        custom=_call,
        defaults=_call.default,
        validate=_call.check,
        validate_update=check_call_update,
        validate_status=_call.check_update,
        ratchets=True,
    ),
    Kind(
        kind="DeviceHistory",
        plural="devicehistories",
        group=EDGE_GROUP,
        version="v1alpha1",
        short_names=("dh",),
        verbs=("get", "list"),
        virtual=True,
    ),
    Kind(
        kind="ServiceAccountRules",
        plural="serviceaccountrules",
        list_kind="ServiceAccountRulesList",
        singular="serviceaccountrules",
        group=EDGE_GROUP,
        version="v1alpha1",
        short_names=("sar",),
        validate=check_account_rules,
    ),
)
