"""Rows of the ``apps`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.workloads import default_deployment, default_replicaset
from cloudcore.apiserver.kinds.kind import SCALE, Kind, status_of
from cloudcore.apiserver.validation.workloads import check_deployment, check_replicaset, check_selector_kept

_SCHEMA: Final = "io.k8s.api.apps.v1."

ROWS: Final = (
    Kind(
        kind="Deployment",
        plural="deployments",
        group="apps",
        schema=_SCHEMA + "Deployment",
        short_names=("deploy",),
        categories=("all",),
        subresources=(status_of("Deployment", "apps"), SCALE),
        status=True,
        generation=True,
        defaults=default_deployment,
        validate=check_deployment,
        validate_update=check_selector_kept,
    ),
    Kind(
        kind="ReplicaSet",
        plural="replicasets",
        group="apps",
        schema=_SCHEMA + "ReplicaSet",
        short_names=("rs",),
        categories=("all",),
        subresources=(status_of("ReplicaSet", "apps"), SCALE),
        fields={"status.replicas": "0"},
        status=True,
        generation=True,
        defaults=default_replicaset,
        validate=check_replicaset,
        validate_update=check_selector_kept,
    ),
)
