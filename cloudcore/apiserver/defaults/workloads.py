"""Defaults of the kinds that keep a number of pods.

Source: Kubernetes ``apps/v1`` and ``core/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from cloudcore.apiserver.defaults.storage import default_claim
from protocol.objects.keys import Body
from protocol.objects.poddefaults import default_pod_template


def default_deployment(body: Body) -> None:
    """Fill the absent fields of a Deployment."""
    spec = body.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    default_pod_template(spec.setdefault("template", {}))


def default_replicaset(body: Body) -> None:
    """Fill the absent fields of a ReplicaSet."""
    spec = body.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_pod_template(spec.setdefault("template", {}))


def default_daemonset(body: Body) -> None:
    """Fill the absent fields of a DaemonSet."""
    spec = body.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    default_pod_template(spec.setdefault("template", {}))


def default_statefulset(body: Body) -> None:
    """Fill the absent fields of a StatefulSet and of its claim templates."""
    spec = body.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        default_claim(claim)
    default_pod_template(spec.setdefault("template", {}))


def default_replication_controller(body: Body) -> None:
    """Fill the absent fields of a ReplicationController: selector and labels are its template's."""
    spec = body.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    template = spec.setdefault("template", {})
    default_pod_template(template)
    labels = template["metadata"].get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not body["metadata"].get("labels"):
            body["metadata"]["labels"] = dict(labels)


def default_podtemplate(body: Body) -> None:
    """Fill the absent fields of a PodTemplate."""
    default_pod_template(body.setdefault("template", {}))
