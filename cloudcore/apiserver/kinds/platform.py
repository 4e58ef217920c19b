"""Rows of the small groups that pods and nodes rest on."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.kinds.kind import Kind

ROWS: Final = (
    Kind(
        kind="Lease",
        plural="leases",
        group="coordination.k8s.io",
        schema="io.k8s.api.coordination.v1.Lease",
    ),
    Kind(
        kind="RuntimeClass",
        plural="runtimeclasses",
        group="node.k8s.io",
        schema="io.k8s.api.node.v1.RuntimeClass",
        namespaced=False,
    ),
    Kind(
        kind="PriorityClass",
        plural="priorityclasses",
        group="scheduling.k8s.io",
        schema="io.k8s.api.scheduling.v1.PriorityClass",
        namespaced=False,
        short_names=("pc",),
    ),
)
