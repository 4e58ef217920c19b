"""Rows of the small groups that pods and nodes rest on."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.core import default_priority_class
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.cluster import (
    check_lease,
    check_priority_class,
    check_priority_class_update,
    check_runtime_class,
    check_runtime_class_update,
)

ROWS: Final = (
    Kind(
        kind="Lease",
        plural="leases",
        group="coordination.k8s.io",
        schema="io.k8s.api.coordination.v1.Lease",
        put_creates=True,
        validate=check_lease,
    ),
    Kind(
        kind="RuntimeClass",
        plural="runtimeclasses",
        group="node.k8s.io",
        schema="io.k8s.api.node.v1.RuntimeClass",
        put_creates=True,
        namespaced=False,
        validate=check_runtime_class,
        validate_update=check_runtime_class_update,
    ),
    Kind(
        kind="PriorityClass",
        plural="priorityclasses",
        group="scheduling.k8s.io",
        schema="io.k8s.api.scheduling.v1.PriorityClass",
        namespaced=False,
        short_names=("pc",),
        defaults=default_priority_class,
        validate=check_priority_class,
        validate_update=check_priority_class_update,
    ),
)
