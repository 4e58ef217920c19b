"""Rows of ``metrics.k8s.io``, which ``kubectl top`` reads: computed, never stored."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.kinds.kind import Kind

_GROUP: Final = "metrics.k8s.io"

ROWS: Final = (
    Kind(
        kind="NodeMetrics",
        plural="nodes",
        group=_GROUP,
        version="v1beta1",
        namespaced=False,
        verbs=("get", "list"),
        virtual=True,
        list_kind="NodeMetricsList",
    ),
    Kind(
        kind="PodMetrics",
        plural="pods",
        group=_GROUP,
        version="v1beta1",
        verbs=("get", "list"),
        virtual=True,
        list_kind="PodMetricsList",
    ),
)
