"""Rows of the core group's older workload kinds."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.workloads import default_podtemplate, default_replication_controller
from cloudcore.apiserver.kinds.kind import SCALE, Kind, no_controller, status_of
from cloudcore.apiserver.validation.controllers import check_podtemplate, check_replication_controller

_SCHEMA: Final = "io.k8s.api.core.v1."

ROWS: Final = (
    Kind(
        kind="PodTemplate",
        plural="podtemplates",
        schema=_SCHEMA + "PodTemplate",
        returns_deleted=True,
        generation=True,
        defaults=default_podtemplate,
        validate=check_podtemplate,
    ),
    Kind(
        kind="ReplicationController",
        plural="replicationcontrollers",
        schema=_SCHEMA + "ReplicationController",
        short_names=("rc",),
        categories=("all",),
        subresources=(status_of("ReplicationController"), SCALE),
        fields={"status.replicas": "0"},
        status=True,
        first_status={"replicas": 0},
        generation=True,
        inert=no_controller("ReplicationControllers"),
        defaults=default_replication_controller,
        validate=check_replication_controller,
    ),
)
