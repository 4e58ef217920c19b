"""What a Kubernetes cluster needs so that a cloud may work beside it: a namespace, an account, and its rights.

Each right is there for a reason that is named beside it; ``tests/e2e/test_kubernetes_rights.py`` runs a cloud with
these and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cloudcore.store.kubernetes import NAMESPACE
from protocol.objects.keys import Body
from protocol.objects.projections import SLICE_RESOURCES
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE

ACCOUNT: Final = "cloudcore"
_READS: Final = ("get", "list", "watch")


def manifests() -> list[Body]:
    """Return the objects, in an order in which they can be created."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}},
        _role("ClusterRole", "", _everywhere()),
        _binding("ClusterRoleBinding", ""),
        _role("Role", NAMESPACE, _in_its_own_namespace()),
        _binding("RoleBinding", NAMESPACE),
        _role("Role", NODE_LEASE_NAMESPACE, _of_node_leases()),
        _binding("RoleBinding", NODE_LEASE_NAMESPACE),
    ]


def _everywhere() -> list[Body]:
    return [
        *_slices(),
        # The versions of the server's objects, and whether the namespace is there.
        _rule("", ["namespaces"], ["get", "list"]),
        # Devices that join become Nodes; what they report is their status.
        _rule("", ["nodes"], ["create", "patch"]),
        # Where the API server is a cloudcore: it asks for this before it lets a device's identity be set.
        _rule("edge.aiokubeedge.io", ["nodes"], ["pin"]),
        _rule("", ["nodes/status", "pods/status"], ["patch"]),
        _rule("devices.kubeedge.io", ["devices/status"], ["patch"]),
        # Tolerations of pods on edge nodes, pods that have stopped on a node for good, and mirrors of static pods.
        _rule("", ["pods"], ["create", "patch", "delete"]),
        # Pods that ask for this scheduler, and the volumes that their claims wait for.
        _rule("", ["pods/binding"], ["create"]),
        _rule("storage.k8s.io", ["storageclasses"], _READS),
        _rule("", ["persistentvolumeclaims", "persistentvolumes"], ["patch"]),
        # Tokens of the accounts of pods on devices; each dies with its pod.
        _rule("", ["serviceaccounts/token"], ["create"]),
        _rule("", ["events"], ["create", "patch"]),
        # The class of pods that run as processes.
        _rule("node.k8s.io", ["runtimeclasses"], ["create"]),
    ]


def _slices() -> Iterable[Body]:
    """Yield the right to read what nodes are given, all over the cluster: nobody knows where their pods will be."""
    groups: dict[str, list[str]] = {}
    for resource in sorted(SLICE_RESOURCES):
        plural, _, group = resource.partition(".")
        groups.setdefault(group, []).append(plural)
    return [_rule(group, plurals, _READS) for group, plurals in groups.items()]


def _in_its_own_namespace() -> list[Body]:
    return [
        # The authority, and the tokens to join with.
        _rule("", ["secrets"], ["create", "update", "delete"]),
        # The store's incarnation.
        _rule("", ["configmaps"], ["create", "update"]),
        # Epochs, and who leads.
        _rule("coordination.k8s.io", ["leases"], ["get", "create", "update", "patch"]),
    ]


def _of_node_leases() -> list[Body]:
    return [_rule("coordination.k8s.io", ["leases"], ["get", "list", "create", "patch"])]


def _rule(group: str, resources: Iterable[str], verbs: Iterable[str]) -> Body:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _role(kind: str, namespace: str, rules: list[Body]) -> Body:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _named(namespace),
        "rules": rules,
    }


def _binding(kind: str, namespace: str) -> Body:
    role = kind.removesuffix("Binding")
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _named(namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": f"aiokubeedge-{ACCOUNT}"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }


def _named(namespace: str) -> Body:
    name = {"name": f"aiokubeedge-{ACCOUNT}"}
    return {**name, "namespace": namespace} if namespace else name
