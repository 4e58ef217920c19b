from __future__ import annotations

import pytest

from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.http.authz import (
    Attributes,
    Authorizers,
    Decision,
    MastersAuthorizer,
    NodeAuthorizer,
    forbidden,
)
from protocol.objects.keys import NodeName, ObjectKey

ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))
NODE = User("system:node:edge-1", ("system:nodes", "system:authenticated"))
IMPOSTOR = User("system:node:edge-1", ("system:authenticated",))
NOBODY = User("someone", ("system:authenticated",))
OWN_POD = ObjectKey("pods", "default", "mine")
OWN_SECRET = ObjectKey("secrets", "default", "s")
OWN_ACCOUNT = ObjectKey("serviceaccounts", "default", "robot")


def slice_contains(node: NodeName, key: ObjectKey) -> bool:
    return node == "edge-1" and key in {OWN_POD, OWN_SECRET, OWN_ACCOUNT}


def allowed(user: User, attributes: Attributes) -> bool:
    authorizer = Authorizers((MastersAuthorizer(), NodeAuthorizer(slice_contains)))
    return authorizer.authorize(user, attributes).allowed


@pytest.mark.parametrize("verb", ["get", "list", "create", "deletecollection"])
def test_administrators_may_do_everything(verb: str) -> None:
    assert allowed(ADMIN, Attributes(verb, "secrets", namespace="kube-system"))


@pytest.mark.parametrize("user", [IMPOSTOR, NOBODY])
def test_others_may_do_nothing(user: User) -> None:
    assert not allowed(user, Attributes("get", "nodes", name="edge-1"))


@pytest.mark.parametrize(
    "attributes",
    [
        Attributes("get", "nodes", name="edge-1"),
        Attributes("list", "nodes", field_selector="metadata.name=edge-1"),
        Attributes("watch", "nodes", field_selector="metadata.name==edge-1"),
        Attributes("patch", "nodes", name="edge-1", subresource="status"),
        Attributes("get", "pods", namespace="default", name="mine"),
        Attributes("delete", "pods", namespace="default", name="mine"),
        Attributes("create", "pods", namespace="default"),
        Attributes("patch", "pods", namespace="default", name="mine", subresource="status"),
        Attributes("watch", "pods", field_selector="status.phase!=Failed,spec.nodeName=edge-1"),
        Attributes("get", "secrets", namespace="default", name="s"),
        Attributes("watch", "secrets", namespace="default", field_selector="metadata.name=s"),
        Attributes("update", "leases", "coordination.k8s.io", "kube-node-lease", "edge-1"),
        Attributes("create", "serviceaccounts", namespace="default", name="robot", subresource="token"),
    ],
)
def test_what_a_node_may_do(attributes: Attributes) -> None:
    assert allowed(NODE, attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        Attributes("get", "nodes", name="edge-2"),
        Attributes("list", "nodes"),
        Attributes("create", "nodes"),
        Attributes("delete", "nodes", name="edge-1"),
        Attributes("patch", "nodes", name="edge-1"),
        Attributes("patch", "nodes", name="edge-2", subresource="status"),
        Attributes("update", "pods", namespace="default", name="mine"),
        Attributes("get", "pods", namespace="default", name="other"),
        Attributes("patch", "pods", namespace="default", name="other", subresource="status"),
        Attributes("create", "pods", namespace="default", name="mine", subresource="binding"),
        Attributes("list", "pods"),
        Attributes("list", "pods", field_selector="spec.nodeName=edge-2"),
        Attributes("list", "pods", field_selector="spec.nodeName!=edge-1"),
        Attributes("deletecollection", "pods", namespace="default", field_selector="spec.nodeName=edge-1"),
        Attributes("get", "secrets", namespace="default", name="other"),
        Attributes("list", "secrets", namespace="default"),
        Attributes("update", "secrets", namespace="default", name="s"),
        Attributes("update", "leases", "coordination.k8s.io", "kube-node-lease", "edge-2"),
        Attributes("update", "leases", "coordination.k8s.io", "default", "edge-1"),
        Attributes("get", "deployments", "apps", "default", "web"),
        Attributes("create", "serviceaccounts", namespace="default", name="other", subresource="token"),
        Attributes("create", "selfsubjectaccessreviews", "authorization.k8s.io"),
    ],
)
def test_what_a_node_may_not_do(attributes: Attributes) -> None:
    assert not allowed(NODE, attributes)


def test_a_refusal_is_worded_as_kubernetes_words_it() -> None:
    attributes = Attributes("get", "nodes", name="x")
    error = forbidden(NODE, attributes, Decision(False))
    assert error.message == (
        'nodes "x" is forbidden: User "system:node:edge-1" cannot get resource "nodes" in API group "" '
        "at the cluster scope"
    )
    assert error.details == {"kind": "nodes", "name": "x"}


def test_a_refusal_names_subresource_group_namespace_and_reason() -> None:
    attributes = Attributes("update", "deployments", "apps", "d", "w", "scale")
    error = forbidden(NOBODY, attributes, Decision(False, "because"))
    assert error.message == (
        'deployments.apps "w" is forbidden: User "someone" cannot update resource "deployments/scale" '
        'in API group "apps" in the namespace "d": because'
    )
    assert error.details == {"kind": "deployments", "name": "w", "group": "apps"}
