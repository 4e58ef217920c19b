from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.admission.roles import RoleEscalation
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.http.authz import Authorizers, MastersAuthorizer
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.apiserver.rbac.roles import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Roles
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Forbidden, NotFound
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body, key_of

JANE = Context("jane", ("devs",))
ADMIN = Context("admin", ("system:masters",))
READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
WRITE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
ALL: Body = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


class Cluster:
    """A registry whose roles take effect at once."""

    def __init__(self) -> None:
        self.roles = Roles()
        rights = Rights(Authorizers((MastersAuthorizer(), self.roles)), self.roles)
        self.registry = Registry(MemoryStore(), admission=AdmissionChain([RoleEscalation(rights)]))

    async def create(self, resource: str, body: Body, context: Context = JANE) -> Body:
        namespace = body["metadata"].get("namespace", "")
        made = await create(self.registry, Target(self.registry.kinds.of(resource), namespace), body, context)
        self.roles.put(made.key, made.decode())
        return made.decode()

    async def give(self, *rules: dict[str, Any], namespace: str = "") -> None:
        """Give jane rules, everywhere or in one namespace."""
        role: Body = {"metadata": {"name": "janes"}, "rules": list(rules)}
        binding = bound("janes", "ClusterRole", "janes", namespace)
        self.roles.put(key_of(CLUSTER_ROLES, role), role)
        self.roles.put(key_of(ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS, binding), binding)


def a_role(name: str, *rules: dict[str, Any], namespace: str = "", **more: Any) -> Body:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "rules": list(rules), **more}


def bound(name: str, kind: str, role: str, namespace: str = "") -> Body:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "name": "jane", "apiGroup": group}]
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": role, "apiGroup": group}, "subjects": subjects}


@pytest.fixture
async def cluster() -> Cluster:
    cluster = Cluster()
    await cluster.create(CLUSTER_ROLES, a_role("reader", READ), ADMIN)
    await cluster.create(CLUSTER_ROLES, a_role("all", ALL), ADMIN)
    return cluster


async def test_what_one_has_one_may_give(cluster: Cluster) -> None:
    await cluster.give(READ, namespace="shop")
    await cluster.create(ROLES, a_role("r", READ, namespace="shop"))
    await cluster.create(ROLE_BINDINGS, bound("b", "ClusterRole", "reader", "shop"))


async def test_more_than_one_has_is_refused_by_name(cluster: Cluster) -> None:
    await cluster.give(READ, namespace="shop")
    with pytest.raises(Forbidden) as refused:
        await cluster.create(ROLES, a_role("r", READ, WRITE, namespace="shop"))
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["devs"]) is attempting to grant RBAC '
        'permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["create"]}'
    )
    for resource, body in (
        (CLUSTER_ROLES, a_role("r", READ)),
        (ROLES, a_role("r", READ, namespace="other")),
        (ROLE_BINDINGS, bound("b", "ClusterRole", "all", "shop")),
        (CLUSTER_ROLE_BINDINGS, bound("b", "ClusterRole", "reader")),
    ):
        with pytest.raises(Forbidden, match="not currently held"):
            await cluster.create(resource, body)


async def test_escalate_and_bind_lift_that(cluster: Cluster) -> None:
    group = ["rbac.authorization.k8s.io"]
    escalate = {"apiGroups": group, "resources": ["clusterroles"], "verbs": ["escalate"]}
    bind = {"apiGroups": group, "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["all"]}
    await cluster.give(escalate, bind)
    await cluster.create(CLUSTER_ROLES, a_role("r", ALL))
    with pytest.raises(Forbidden):
        await cluster.create(CLUSTER_ROLE_BINDINGS, bound("c", "ClusterRole", "r"))
    await cluster.create(CLUSTER_ROLE_BINDINGS, bound("b", "ClusterRole", "all"))


async def test_administrators_give_what_they_like(cluster: Cluster) -> None:
    await cluster.create(CLUSTER_ROLE_BINDINGS, bound("b", "ClusterRole", "all"), ADMIN)


async def test_a_role_that_gathers_needs_everything(cluster: Cluster) -> None:
    gathers = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        await cluster.create(CLUSTER_ROLES, a_role("g", aggregationRule=gathers))
    await cluster.give(ALL, {"nonResourceURLs": ["*"], "verbs": ["*"]})
    await cluster.create(CLUSTER_ROLES, a_role("g", aggregationRule=gathers))


async def test_a_role_that_is_not_there_cannot_be_bound(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match=r'clusterroles\.rbac\.authorization\.k8s\.io "none" not found'):
        await cluster.create(CLUSTER_ROLE_BINDINGS, bound("b", "ClusterRole", "none"))


async def test_a_change_is_held_to_the_same_but_for_what_ends_an_object(cluster: Cluster) -> None:
    target = Target(cluster.registry.kinds.of(CLUSTER_ROLES), "", "all")
    await patch(cluster.registry, target, {"metadata": {"finalizers": ["example.com/kept"]}}, JANE)
    await patch(cluster.registry, target, {"metadata": {"finalizers": None}}, JANE)
    with pytest.raises(Forbidden, match="not currently held"):
        await patch(cluster.registry, target, {"rules": [READ, ALL]}, JANE)


async def test_a_label_that_has_a_role_gathered_gives_what_the_role_has(cluster: Cluster) -> None:
    """Who may only label roles could else have the rules of any role gathered into one of its own."""
    target = Target(cluster.registry.kinds.of(CLUSTER_ROLES), "", "all")
    labelled = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}
    with pytest.raises(Forbidden, match="not currently held"):
        await patch(cluster.registry, target, labelled, JANE)


async def test_a_role_that_gathered_is_not_taken_over_by_those_who_have_less(cluster: Cluster) -> None:
    gathers = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    await cluster.create(CLUSTER_ROLES, a_role("gathers", aggregationRule=gathers), ADMIN)
    target = Target(cluster.registry.kinds.of(CLUSTER_ROLES), "", "gathers")
    with pytest.raises(Forbidden, match="must have cluster-admin privileges"):
        await patch(cluster.registry, target, {"aggregationRule": None}, JANE)
