"""Rows of the ``apps`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.workloads import (
    default_daemonset,
    default_deployment,
    default_replicaset,
    default_statefulset,
)
from cloudcore.apiserver.kinds import strategies
from cloudcore.apiserver.kinds.kind import SCALE, Kind, no_controller, status_of
from cloudcore.apiserver.validation.controllers import (
    check_controller_revision,
    check_controller_revision_update,
    check_daemonset,
    check_statefulset,
    check_statefulset_update,
)
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
        first_status={},
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
        first_status={"replicas": 0},
        generation=True,
        defaults=default_replicaset,
        validate=check_replicaset,
        validate_update=check_selector_kept,
    ),
    Kind(
        kind="DaemonSet",
        plural="daemonsets",
        group="apps",
        schema=_SCHEMA + "DaemonSet",
        short_names=("ds",),
        categories=("all",),
        subresources=(status_of("DaemonSet", "apps"),),
        status=True,
        first_status=strategies.NO_DAEMONS,
        generation=True,
        inert=no_controller("DaemonSets"),
        defaults=default_daemonset,
        validate=check_daemonset,
        validate_update=check_selector_kept,
    ),
    Kind(
        kind="StatefulSet",
        plural="statefulsets",
        group="apps",
        schema=_SCHEMA + "StatefulSet",
        short_names=("sts",),
        categories=("all",),
        subresources=(status_of("StatefulSet", "apps"), SCALE),
        status=True,
        first_status={"availableReplicas": 0, "replicas": 0},
        generation=True,
        inert=no_controller("StatefulSets"),
        defaults=default_statefulset,
        validate=check_statefulset,
        validate_update=check_statefulset_update,
    ),
    Kind(
        kind="ControllerRevision",
        plural="controllerrevisions",
        group="apps",
        schema=_SCHEMA + "ControllerRevision",
        validate=check_controller_revision,
        validate_update=check_controller_revision_update,
    ),
)
