"""Rows of this project's own group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.rbac import check_account_rules

EDGE_GROUP: Final = "edge.aiokubeedge.io"

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
