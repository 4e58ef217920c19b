"""Rows of the ``rbac.authorization.k8s.io`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.policies import RBAC_GROUP, default_binding
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.rbac import (
    check_cluster_role,
    check_cluster_role_binding,
    check_role,
    check_role_binding,
    check_role_kept,
)

_SCHEMA: Final = "io.k8s.api.rbac.v1."

ROWS: Final = (
    Kind(
        kind="Role",
        plural="roles",
        group=RBAC_GROUP,
        schema=_SCHEMA + "Role",
        name_rule="path",
        put_creates=True,
        validate=check_role,
    ),
    Kind(
        kind="ClusterRole",
        plural="clusterroles",
        group=RBAC_GROUP,
        schema=_SCHEMA + "ClusterRole",
        namespaced=False,
        name_rule="path",
        put_creates=True,
        validate=check_cluster_role,
    ),
    Kind(
        kind="RoleBinding",
        plural="rolebindings",
        group=RBAC_GROUP,
        schema=_SCHEMA + "RoleBinding",
        name_rule="path",
        put_creates=True,
        defaults=default_binding,
        validate=check_role_binding,
        validate_update=check_role_kept,
    ),
    Kind(
        kind="ClusterRoleBinding",
        plural="clusterrolebindings",
        group=RBAC_GROUP,
        schema=_SCHEMA + "ClusterRoleBinding",
        namespaced=False,
        name_rule="path",
        put_creates=True,
        defaults=default_binding,
        validate=check_cluster_role_binding,
        validate_update=check_role_kept,
    ),
)
