"""What people are given: ``cluster-admin``, and ``admin``, ``edit`` and ``view`` with the roles they gather."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.rbac.defaults.shapes import (
    READ,
    WRITE,
    Default,
    bound_everywhere,
    cluster_role,
    group,
    paths,
    rule,
)

_TO: Final = "rbac.authorization.k8s.io/aggregate-to-"

_APPS: Final = (
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
    "statefulsets/scale"
)
_APPS_READ: Final = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets "
    "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
)
_EXTENSIONS: Final = (
    "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
    "replicasets/scale replicationcontrollers/scale"
)
_EXTENSIONS_READ: Final = (
    "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
    "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale"
)

_EDIT: Final = (
    rule(READ, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    rule("impersonate", "core", "serviceaccounts"),
    rule(WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule("create", "core", "pods/eviction"),
    rule(
        WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
        "serviceaccounts services services/proxy",
    ),
    rule("create", "core", "serviceaccounts/token"),
    rule(WRITE, "apps", _APPS),
    rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
    rule(WRITE, "batch", "cronjobs jobs"),
    rule(WRITE, "extensions", _EXTENSIONS),
    rule(WRITE, "policy", "poddisruptionbudgets"),
    rule(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    rule(f"{WRITE} {READ}", "coordination.k8s.io", "leases"),
)

_VIEW: Final = (
    rule(
        READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
        "replicationcontrollers/scale serviceaccounts services services/status",
    ),
    rule(
        READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
        "resourcequotas resourcequotas/status",
    ),
    rule(READ, "core", "namespaces"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(READ, "apps", _APPS_READ),
    rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    rule(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    rule(READ, "extensions", _EXTENSIONS_READ),
    rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    rule(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
)

_ADMIN: Final = (
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(f"{WRITE} {READ}", "rbac.authorization.k8s.io", "rolebindings roles"),
)

USER_ROLES: Final[tuple[Default, ...]] = (
    cluster_role("cluster-admin", (rule("*", "*", "*"), paths("*", "*"))),
    cluster_role("admin", aggregates=(f"{_TO}admin",)),
    cluster_role("edit", labels={f"{_TO}admin": "true"}, aggregates=(f"{_TO}edit",)),
    cluster_role("view", labels={f"{_TO}edit": "true"}, aggregates=(f"{_TO}view",)),
    cluster_role("system:aggregate-to-admin", _ADMIN, labels={f"{_TO}admin": "true"}),
    cluster_role("system:aggregate-to-edit", _EDIT, labels={f"{_TO}edit": "true"}),
    cluster_role("system:aggregate-to-view", _VIEW, labels={f"{_TO}view": "true"}),
)

USER_BINDINGS: Final[tuple[Default, ...]] = (
    bound_everywhere("cluster-admin", "cluster-admin", group("system:masters")),
)
