"""Short ways to write roles and bindings down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cloudcore.apiserver.rbac.roles import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GROUP, ROLE_BINDINGS, ROLES
from cloudcore.apiserver.rbac.rules import Rule
from protocol.objects.keys import Body

Default = tuple[str, Body]
"""A group-resource and an object of it."""

AUTOUPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAPPING: Final = "kubernetes.io/bootstrapping"
LABELS: Final = {BOOTSTRAPPING: "rbac-defaults"}

READ: Final = "get list watch"
WRITE: Final = "create delete deletecollection patch update"
CHANGE: Final = "patch update"


def rule(verbs: str, group: str, resources: str, names: str = "") -> Rule:
    """Return a rule on resources; several words are separated by blanks, ``core`` is the core group."""
    groups = tuple("" if each == "core" else each for each in group.split())
    return Rule(tuple(verbs.split()), groups, tuple(resources.split()), tuple(names.split()))


def paths(verbs: str, urls: str) -> Rule:
    """Return a rule on paths."""
    return Rule(tuple(verbs.split()), paths=tuple(urls.split()))


def events() -> Rule:
    """Return the rule of whoever writes Events."""
    return rule("create patch update", "core events.k8s.io", "events")


def cluster_role(
    name: str, rules: Sequence[Rule] = (), *, labels: dict[str, str] | None = None, aggregates: Sequence[str] = ()
) -> Default:
    """Return a ClusterRole.

    Args:
        name: Its name.
        rules: Its rules; an aggregated role gets its own from those it gathers.
        labels: Labels beyond those that every default has.
        aggregates: Names of the labels whose bearers it gathers.
    """
    body: Body = {"metadata": _metadata(name, "", labels), "rules": [each.body for each in rules]}
    if aggregates:
        selectors = [{"matchLabels": {label: "true"}} for label in aggregates]
        body["aggregationRule"] = {"clusterRoleSelectors": selectors}
    return CLUSTER_ROLES, body


def role(namespace: str, name: str, rules: Sequence[Rule]) -> Default:
    """Return a Role."""
    return ROLES, {"metadata": _metadata(name, namespace), "rules": [each.body for each in rules]}


def bound_everywhere(name: str, to: str, *subjects: Body) -> Default:
    """Return a ClusterRoleBinding ``name`` that gives the ClusterRole ``to``."""
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": to}
    return CLUSTER_ROLE_BINDINGS, {
        "metadata": _metadata(name, ""),
        "roleRef": reference,
        "subjects": list(subjects),
    }


def bound_within(namespace: str, name: str, *subjects: Body) -> Default:
    """Return a RoleBinding that gives the Role of its name in its namespace."""
    reference = {"apiGroup": GROUP, "kind": "Role", "name": name}
    return ROLE_BINDINGS, {
        "metadata": _metadata(name, namespace),
        "roleRef": reference,
        "subjects": list(subjects),
    }


def group(name: str) -> Body:
    """Return a subject: a group."""
    return {"apiGroup": GROUP, "kind": "Group", "name": name}


def user(name: str) -> Body:
    """Return a subject: a user."""
    return {"apiGroup": GROUP, "kind": "User", "name": name}


def account(namespace: str, name: str) -> Body:
    """Return a subject: a service account."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _metadata(name: str, namespace: str, labels: dict[str, str] | None = None) -> Body:
    metadata: Body = {"name": name, "labels": {**LABELS, **(labels or {})}, "annotations": {AUTOUPDATE: "true"}}
    return metadata | {"namespace": namespace} if namespace else metadata
