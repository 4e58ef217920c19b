from __future__ import annotations

import pytest

from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.rbac.roles import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Roles
from protocol.objects.keys import Body, ObjectKey, key_of

JANE = User("jane", ("system:authenticated",))
DAVE = User("dave", ("managers", "system:authenticated"))
ROBOT = User(
    "system:serviceaccount:kube-system:default", ("system:serviceaccounts", "system:serviceaccounts:kube-system")
)
GET_POD = Attributes("get", "pods", namespace="default", name="x")
GET_SECRET = Attributes("get", "secrets", namespace="development", name="x")
GET_NODE = Attributes("get", "nodes", name="x")


def role(name: str, resource: str, namespace: str = "") -> tuple[ObjectKey, Body]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    body = {"metadata": metadata, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]}
    return key_of(ROLES if namespace else CLUSTER_ROLES, body), body


def binding(name: str, kind: str, to: str, subject: Body, namespace: str = "") -> tuple[ObjectKey, Body]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    body = {"metadata": metadata, "roleRef": {"kind": kind, "name": to}, "subjects": [subject]}
    return key_of(ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS, body), body


def user(name: str) -> Body:
    return {"kind": "User", "name": name}


@pytest.fixture
def roles() -> Roles:
    """The examples of Kubernetes' documentation."""
    roles = Roles()
    objects = (
        role("pod-reader", "pods", "default"),
        binding("read-pods", "Role", "pod-reader", user("jane"), "default"),
        role("secret-reader", "secrets"),
        binding("read-secrets", "ClusterRole", "secret-reader", user("dave"), "development"),
        binding("read-secrets-global", "ClusterRole", "secret-reader", {"kind": "Group", "name": "auditors"}),
        role("node-reader", "nodes"),
        binding("nodes", "ClusterRole", "node-reader",
                {"kind": "ServiceAccount", "name": "default", "namespace": "kube-system"}),
    )  # fmt: skip
    for key, body in objects:
        roles.put(key, body)
    return roles


@pytest.mark.parametrize(
    ("who", "what", "allowed"),
    [
        (JANE, GET_POD, True),
        (JANE, Attributes("get", "pods", namespace="kube-system", name="x"), False),
        (JANE, Attributes("get", "pods"), False),
        (JANE, Attributes("list", "pods", namespace="default"), False),
        (DAVE, GET_SECRET, True),
        (DAVE, Attributes("get", "secrets", namespace="production", name="x"), False),
        (User("eve", ("auditors",)), GET_SECRET, True),
        (User("eve", ("auditors",)), Attributes("get", "secrets", namespace="any", name="x"), True),
        (User("auditors", ()), GET_SECRET, False),
        (ROBOT, GET_NODE, True),
        (User("default", ()), GET_NODE, False),
        (JANE, Attributes("get", "", path="/pods"), False),
    ],
)
def test_decisions(roles: Roles, who: User, what: Attributes, allowed: bool) -> None:
    for _ in range(2):  # decided, and remembered
        assert roles.authorize(who, what).allowed is allowed


def test_a_decision_says_by_which_binding(roles: Roles) -> None:
    assert roles.authorize(JANE, GET_POD).reason == (
        'RBAC: allowed by RoleBinding "read-pods/default" of Role "pod-reader" to User "jane"'
    )
    assert roles.authorize(User("eve", ("auditors",)), GET_SECRET).reason == (
        'RBAC: allowed by ClusterRoleBinding "read-secrets-global" of ClusterRole "secret-reader" to Group "auditors"'
    )


def test_every_change_counts_at_once(roles: Roles) -> None:
    read_pods = ObjectKey(ROLE_BINDINGS, "default", "read-pods")
    assert roles.authorize(JANE, GET_POD).allowed
    roles.remove(read_pods)
    assert not roles.authorize(JANE, GET_POD).allowed
    roles.put(*binding("read-pods", "Role", "pod-reader", user("jane"), "default"))
    assert roles.authorize(JANE, GET_POD).allowed
    roles.put(*binding("read-pods", "Role", "pod-reader", user("joe"), "default"))
    assert not roles.authorize(JANE, GET_POD).allowed
    assert roles.authorize(User("joe", ()), GET_POD).allowed
    roles.put(*role("pod-reader", "services", "default"))
    assert not roles.authorize(User("joe", ()), GET_POD).allowed


def test_a_binding_may_come_before_its_role_and_says_that_it_is_missing(roles: Roles) -> None:
    eve = User("eve", ())
    roles.put(*binding("late", "ClusterRole", "late", user("eve")))
    assert roles.authorize(eve, GET_POD).reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "late" not found'
    roles.put(*role("late", "pods"))
    assert roles.authorize(eve, GET_POD).allowed
    roles.remove(ObjectKey(CLUSTER_ROLES, "", "late"))
    assert not roles.authorize(eve, GET_POD).allowed


def test_the_rules_of_a_user_are_those_of_the_cluster_and_of_the_namespace(roles: Roles) -> None:
    assert [rule.resources for rule in roles.rules_of(JANE, "default")[0]] == [("pods",)]
    assert roles.rules_of(JANE, "other") == ([], [])
    assert [rule.resources for rule in roles.rules_of(ROBOT, "other")[0]] == [("nodes",)]


def test_a_path_is_allowed_by_cluster_roles_alone(roles: Roles) -> None:
    body: Body = {"metadata": {"name": "health"}, "rules": [{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]}
    roles.put(key_of(CLUSTER_ROLES, body), body)
    asked = Attributes("get", "", path="/healthz")
    roles.put(*binding("health", "ClusterRole", "health", user("jane"), "default"))
    assert not roles.authorize(JANE, asked).allowed
    roles.put(*binding("health", "ClusterRole", "health", user("jane")))
    assert roles.authorize(JANE, asked).allowed
