"""What each controller of a Kubernetes cluster is given, by the service account of its name in ``kube-system``.

The controllers of this cloud write through a client inside the process and need none of these. They are here for
controllers that run beside it under the names Kubernetes gives them, and for charts that name the roles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cloudcore.apiserver.rbac.defaults.shapes import (
    READ,
    Default,
    account,
    bound_everywhere,
    cluster_role,
    events,
    rule,
)
from cloudcore.apiserver.rbac.rules import Rule

_PODS: Final = rule("create delete list patch watch", "core", "pods")
_REVISIONS: Final = rule("create delete get list patch update watch", "apps", "controllerrevisions")

_RULES: Final[Mapping[str, Sequence[Rule]]] = {
    "attachdetach-controller": (
        rule("list watch", "core", "persistentvolumeclaims persistentvolumes"),
        rule(READ, "core", "nodes"),
        rule("patch update", "core", "nodes/status"),
        rule("list watch", "core", "pods"),
        rule("create delete get list watch", "storage.k8s.io", "volumeattachments"),
        events(),
    ),
    "certificate-controller": (
        rule("delete get list watch", "certificates.k8s.io", "certificatesigningrequests"),
        rule("update", "certificates.k8s.io", "certificatesigningrequests/approval certificatesigningrequests/status"),
        rule("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
        rule(
            "sign",
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet "
            "kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown",
        ),
        rule("create", "authorization.k8s.io", "subjectaccessreviews"),
        events(),
    ),
    "clusterrole-aggregation-controller": (
        rule("escalate get list patch update watch", "rbac.authorization.k8s.io", "clusterroles"),
    ),
    "cronjob-controller": (
        rule("get list update watch", "batch", "cronjobs"),
        rule("create delete get list patch update watch", "batch", "jobs"),
        rule("update", "batch", "cronjobs/status"),
        rule("update", "batch", "cronjobs/finalizers"),
        rule("delete list", "core", "pods"),
        events(),
    ),
    "daemon-set-controller": (
        rule(READ, "apps extensions", "daemonsets"),
        rule("update", "apps extensions", "daemonsets/status"),
        rule("update", "apps extensions", "daemonsets/finalizers"),
        rule("list watch", "core", "nodes"),
        _PODS,
        rule("create", "core", "pods/binding"),
        _REVISIONS,
        events(),
    ),
    "deployment-controller": (
        rule("get list update watch", "apps extensions", "deployments"),
        rule("update", "apps extensions", "deployments/status"),
        rule("update", "apps extensions", "deployments/finalizers"),
        rule("create delete get list patch update watch", "apps extensions", "replicasets"),
        rule("get list update watch", "core", "pods"),
        events(),
    ),
    "disruption-controller": (
        rule(READ, "apps extensions", "deployments"),
        rule(READ, "apps extensions", "replicasets"),
        rule(READ, "core", "replicationcontrollers"),
        rule(READ, "policy", "poddisruptionbudgets"),
        rule(READ, "apps", "statefulsets"),
        rule("update", "policy", "poddisruptionbudgets/status"),
        rule("get", "*", "*/scale"),
        events(),
    ),
    "endpoint-controller": (
        rule(READ, "core", "pods services"),
        rule("create delete get list update", "core", "endpoints"),
        rule("create", "core", "endpoints/restricted"),
        events(),
    ),
    "endpointslice-controller": (
        rule(READ, "core", "nodes pods services"),
        rule("update", "core", "services/finalizers"),
        rule("create delete get list update", "discovery.k8s.io", "endpointslices"),
        events(),
    ),
    "generic-garbage-collector": (rule("delete get list patch update watch", "*", "*"), events()),
    "horizontal-pod-autoscaler": (
        rule(READ, "autoscaling", "horizontalpodautoscalers"),
        rule("update", "autoscaling", "horizontalpodautoscalers/status"),
        rule("get update", "*", "*/scale"),
        rule("list", "core", "pods"),
        rule("get list", "custom.metrics.k8s.io external.metrics.k8s.io", "*"),
        rule("list", "metrics.k8s.io", "pods"),
        events(),
    ),
    "job-controller": (
        rule("get list patch update watch", "batch", "jobs"),
        rule("update", "batch", "jobs/status"),
        rule("update", "batch", "jobs/finalizers"),
        _PODS,
        events(),
    ),
    "namespace-controller": (
        rule("delete get list watch", "core", "namespaces"),
        rule("update", "core", "namespaces/finalize namespaces/status"),
        rule("delete deletecollection get list", "*", "*"),
    ),
    "node-controller": (
        rule("delete get list patch update watch", "core", "nodes"),
        rule("patch update", "core", "nodes/status"),
        rule("patch update", "core", "pods/status"),
        rule("delete get list watch", "core", "pods"),
        events(),
    ),
    "persistent-volume-binder": (
        rule("create delete get list update watch", "core", "persistentvolumes"),
        rule("update", "core", "persistentvolumes/status"),
        rule("get list update watch", "core", "persistentvolumeclaims"),
        rule("update", "core", "persistentvolumeclaims/status"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        events(),
    ),
    "pod-garbage-collector": (
        rule("delete list watch", "core", "pods"),
        rule("get list", "core", "nodes"),
        rule("patch", "core", "pods/status"),
    ),
    "replicaset-controller": (
        rule("get list update watch", "apps extensions", "replicasets"),
        rule("update", "apps extensions", "replicasets/status"),
        rule("update", "apps extensions", "replicasets/finalizers"),
        _PODS,
        events(),
    ),
    "replication-controller": (
        rule("get list update watch", "core", "replicationcontrollers"),
        rule("update", "core", "replicationcontrollers/status"),
        rule("update", "core", "replicationcontrollers/finalizers"),
        _PODS,
        events(),
    ),
    "resourcequota-controller": (
        rule("list watch", "*", "*"),
        rule("update", "core", "resourcequotas/status"),
        events(),
    ),
    "root-ca-cert-publisher": (rule("create update", "core", "configmaps"), events()),
    "service-account-controller": (rule("create", "core", "serviceaccounts"), events()),
    "service-controller": (
        rule(READ, "core", "services"),
        rule("patch update", "core", "services/status"),
        rule("list watch", "core", "nodes"),
        events(),
    ),
    "statefulset-controller": (
        rule("list watch", "core", "pods"),
        rule(READ, "apps", "statefulsets"),
        rule("update", "apps", "statefulsets/status"),
        rule("update", "apps", "statefulsets/finalizers"),
        rule("create delete get patch update", "core", "pods"),
        _REVISIONS,
        rule("create get", "core", "persistentvolumeclaims"),
        events(),
    ),
    "ttl-after-finished-controller": (rule("delete get list watch", "batch", "jobs"), events()),
    "ttl-controller": (rule("list patch update watch", "core", "nodes"), events()),
}

CONTROLLER_ROLES: Final[tuple[Default, ...]] = tuple(
    cluster_role(f"system:controller:{name}", rules) for name, rules in _RULES.items()
)
CONTROLLER_BINDINGS: Final[tuple[Default, ...]] = tuple(
    bound_everywhere(f"system:controller:{name}", f"system:controller:{name}", account("kube-system", name))
    for name in _RULES
)
