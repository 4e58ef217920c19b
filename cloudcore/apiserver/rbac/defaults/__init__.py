"""The roles and bindings that a cluster has from the first run.

Source: Kubernetes 1.33 ``plugin/pkg/auth/authorizer/rbac/bootstrappolicy``.
"""

from cloudcore.apiserver.rbac.defaults.controllers import CONTROLLER_BINDINGS, CONTROLLER_ROLES
from cloudcore.apiserver.rbac.defaults.system import SYSTEM_BINDINGS, SYSTEM_ROLES
from cloudcore.apiserver.rbac.defaults.users import USER_BINDINGS, USER_ROLES

DEFAULTS = (
    *USER_ROLES,
    *SYSTEM_ROLES,
    *CONTROLLER_ROLES,
    *USER_BINDINGS,
    *SYSTEM_BINDINGS,
    *CONTROLLER_BINDINGS,
)
"""Resource and body of each, roles first."""

__all__ = ["DEFAULTS"]
