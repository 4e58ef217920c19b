"""What everyone who is authenticated is given, and the parts of a Kubernetes cluster."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.rbac.defaults.shapes import (
    CHANGE,
    READ,
    Default,
    account,
    bound_everywhere,
    bound_within,
    cluster_role,
    events,
    group,
    paths,
    role,
    rule,
    user,
)

_DISCOVERY: Final = "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"
_PUBLIC: Final = "/healthz /livez /readyz /version /version/"

_NODE: Final = (
    rule("create", "authentication.k8s.io", "tokenreviews"),
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    rule(READ, "core", "services"),
    rule(f"create {READ}", "core", "nodes"),
    rule(CHANGE, "core", "nodes/status"),
    rule(CHANGE, "core", "nodes"),
    rule("create patch update", "core", "events"),
    rule(READ, "core", "pods"),
    rule("create delete", "core", "pods"),
    rule(CHANGE, "core", "pods/status"),
    rule("create", "core", "pods/eviction"),
    rule(READ, "core", "configmaps secrets"),
    rule("get", "core", "persistentvolumeclaims persistentvolumes"),
    rule("get", "core", "endpoints"),
    rule(f"create {READ}", "certificates.k8s.io", "certificatesigningrequests"),
    rule("create delete get patch update", "coordination.k8s.io", "leases"),
    rule("get", "storage.k8s.io", "volumeattachments"),
    rule("create", "core", "serviceaccounts/token"),
    rule("get patch update", "core", "persistentvolumeclaims/status"),
    rule(READ, "storage.k8s.io", "csidrivers"),
    rule("create delete get patch update", "storage.k8s.io", "csinodes"),
    rule(READ, "node.k8s.io", "runtimeclasses"),
)

_SCHEDULER: Final = (
    events(),
    rule("create", "coordination.k8s.io", "leases"),
    rule("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
    rule(READ, "core", "nodes"),
    rule(f"delete {READ}", "core", "pods"),
    rule("create", "core", "bindings pods/binding"),
    rule(CHANGE, "core", "pods/status"),
    rule(READ, "core", "replicationcontrollers services"),
    rule(READ, "apps extensions", "replicasets"),
    rule(READ, "apps", "statefulsets"),
    rule(READ, "policy", "poddisruptionbudgets"),
    rule(READ, "core", "persistentvolumeclaims persistentvolumes"),
    rule("create", "authentication.k8s.io", "tokenreviews"),
    rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    rule(READ, "storage.k8s.io", "csinodes"),
    rule(READ, "core", "namespaces"),
    rule(READ, "storage.k8s.io", "csidrivers csistoragecapacities"),
)

_MANAGER: Final = (
    events(),
    rule("create", "coordination.k8s.io", "leases"),
    rule("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
    rule("create", "core", "secrets serviceaccounts"),
    rule("delete", "core", "secrets"),
    rule("get", "core", "configmaps namespaces secrets serviceaccounts"),
    rule("update", "core", "secrets serviceaccounts"),
    rule("create", "authentication.k8s.io", "tokenreviews"),
    rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    rule("list watch", "*", "*"),
    rule("create", "core", "serviceaccounts/token"),
)

_PROXY: Final = (
    rule("list watch", "core", "endpoints services"),
    rule(READ, "core", "nodes"),
    events(),
    rule("list watch", "discovery.k8s.io", "endpointslices"),
    rule("list watch", "networking.k8s.io", "servicecidrs"),
)

_APPROVERS: Final = {
    "certificatesigningrequests:nodeclient": "certificatesigningrequests/nodeclient",
    "certificatesigningrequests:selfnodeclient": "certificatesigningrequests/selfnodeclient",
}
_SIGNERS: Final = {
    "kube-apiserver-client-approver": "kubernetes.io/kube-apiserver-client",
    "kube-apiserver-client-kubelet-approver": "kubernetes.io/kube-apiserver-client-kubelet",
    "kubelet-serving-approver": "kubernetes.io/kubelet-serving",
    "legacy-unknown-approver": "kubernetes.io/legacy-unknown",
}

SYSTEM_ROLES: Final[tuple[Default, ...]] = (
    cluster_role("system:discovery", (paths("get", _DISCOVERY),)),
    cluster_role("system:public-info-viewer", (paths("get", _PUBLIC),)),
    cluster_role(
        "system:monitoring",
        (paths("get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),),
    ),
    cluster_role(
        "system:basic-user",
        (
            rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            rule("create", "authentication.k8s.io", "selfsubjectreviews"),
        ),
    ),
    cluster_role(
        "system:heapster", (rule(READ, "core", "events namespaces nodes pods"), rule(READ, "extensions", "deployments"))
    ),
    cluster_role("system:node", _NODE),
    cluster_role(
        "system:node-problem-detector", (rule("get", "core", "nodes"), rule("patch", "core", "nodes/status"), events())
    ),
    cluster_role("system:node-proxier", _PROXY),
    cluster_role(
        "system:kubelet-api-admin",
        (
            rule(READ, "core", "nodes"),
            rule("proxy", "core", "nodes"),
            rule("*", "core", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
        ),
    ),
    cluster_role(
        "system:node-bootstrapper", (rule(f"create {READ}", "certificates.k8s.io", "certificatesigningrequests"),)
    ),
    cluster_role(
        "system:auth-delegator",
        (
            rule("create", "authentication.k8s.io", "tokenreviews"),
            rule("create", "authorization.k8s.io", "subjectaccessreviews"),
        ),
    ),
    cluster_role("system:kube-aggregator", (rule(READ, "core", "endpoints services"),)),
    cluster_role("system:kube-controller-manager", _MANAGER),
    cluster_role("system:kube-scheduler", _SCHEDULER),
    cluster_role("system:kube-dns", (rule("list watch", "core", "endpoints services"),)),
    cluster_role(
        "system:persistent-volume-provisioner",
        (
            rule(f"create delete {READ}", "core", "persistentvolumes"),
            rule(f"{READ} update", "core", "persistentvolumeclaims"),
            rule(READ, "storage.k8s.io", "storageclasses"),
            rule("watch", "core", "events"),
            events(),
        ),
    ),
    cluster_role(
        "system:volume-scheduler",
        (
            rule(f"{READ} patch update", "core", "persistentvolumes"),
            rule(READ, "storage.k8s.io", "storageclasses"),
            rule(f"{READ} patch update", "core", "persistentvolumeclaims"),
        ),
    ),
    cluster_role(
        "system:service-account-issuer-discovery",
        (paths("get", "/.well-known/openid-configuration /openid/v1/jwks /openid/v1/jwks/"),),
    ),
    *(
        cluster_role(f"system:certificates.k8s.io:{name}", (rule("create", "certificates.k8s.io", resource),))
        for name, resource in _APPROVERS.items()
    ),
    *(
        cluster_role(f"system:certificates.k8s.io:{name}", (rule("approve", "certificates.k8s.io", "signers", signer),))
        for name, signer in _SIGNERS.items()
    ),
    role(
        "kube-system",
        "extension-apiserver-authentication-reader",
        (rule(READ, "core", "configmaps", "extension-apiserver-authentication"),),
    ),
    role(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        (
            rule("watch", "core", "configmaps"),
            rule("get update", "core", "configmaps", "kube-controller-manager"),
        ),
    ),
    role(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        (rule("watch", "core", "configmaps"), rule("get update", "core", "configmaps", "kube-scheduler")),
    ),
    role(
        "kube-public",
        "system:controller:bootstrap-signer",
        (rule(READ, "core", "configmaps"), rule("update", "core", "configmaps", "cluster-info"), events()),
    ),
)

SYSTEM_BINDINGS: Final[tuple[Default, ...]] = (
    bound_everywhere("system:monitoring", "system:monitoring", group("system:monitoring")),
    bound_everywhere("system:discovery", "system:discovery", group("system:authenticated")),
    bound_everywhere("system:basic-user", "system:basic-user", group("system:authenticated")),
    bound_everywhere(
        "system:public-info-viewer",
        "system:public-info-viewer",
        group("system:authenticated"),
        group("system:unauthenticated"),
    ),
    bound_everywhere("system:node-proxier", "system:node-proxier", user("system:kube-proxy")),
    bound_everywhere(
        "system:kube-controller-manager", "system:kube-controller-manager", user("system:kube-controller-manager")
    ),
    bound_everywhere("system:kube-dns", "system:kube-dns", account("kube-system", "kube-dns")),
    bound_everywhere("system:kube-scheduler", "system:kube-scheduler", user("system:kube-scheduler")),
    bound_everywhere("system:volume-scheduler", "system:volume-scheduler", user("system:kube-scheduler")),
    # No subject: nodes are judged one by one, by the node authorizer.
    bound_everywhere("system:node", "system:node"),
    bound_everywhere(
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
        group("system:serviceaccounts"),
    ),
    bound_within(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        user("system:kube-controller-manager"),
        account("kube-system", "kube-controller-manager"),
    ),
    bound_within(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        user("system:kube-scheduler"),
        account("kube-system", "kube-scheduler"),
    ),
    bound_within("kube-public", "system:controller:bootstrap-signer", account("kube-system", "bootstrap-signer")),
)
