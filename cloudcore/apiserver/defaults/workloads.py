"""Defaults of Deployments and ReplicaSets.

Source: Kubernetes ``apps/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from cloudcore.apiserver.defaults.pods import default_pod_template
from protocol.objects.keys import Body


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
