"""What kinds reset or keep on a write, beyond the rules common to all.

Source: Kubernetes ``registry/*/strategy.go``: PrepareForCreate and PrepareForUpdate.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body
from protocol.objects.qos import qos_class

NAMESPACE_FINALIZER = "kubernetes"

NO_DAEMONS: Final = {
    "currentNumberScheduled": 0,
    "desiredNumberScheduled": 0,
    "numberMisscheduled": 0,
    "numberReady": 0,
}
"""First status of a DaemonSet."""
NO_DISRUPTIONS: Final = {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}
"""First status of a PodDisruptionBudget."""


def new_pod(body: Body) -> None:
    """Start a Pod as Pending, with its QoS class."""
    body["status"] = {"phase": "Pending", "qosClass": qos_class(body)}


def new_namespace(body: Body) -> None:
    """Start a Namespace as Active, held by the namespace controller's finalizer."""
    body["spec"] = {"finalizers": [NAMESPACE_FINALIZER]}
    body["status"] = {"phase": "Active"}


def changed_namespace(body: Body, old: Body) -> None:
    """Keep a Namespace's own finalizers: only the ``finalize`` subresource changes them."""
    body["spec"] = old.get("spec") or {}


def new_service(body: Body) -> None:
    """Start a Service without a load balancer."""
    body["status"] = {"loadBalancer": {}}


def changed_secret(body: Body, old: Body) -> None:
    """Keep a Secret's type where the client left it out."""
    if not body.get("type"):
        body["type"] = old.get("type", "Opaque")


def new_job(body: Body) -> None:
    """Let a Job select its own pods by its uid, unless it says that it selects by itself.

    Its own labels are its template's where it has none, as those were before the uid was added.
    """
    spec, metadata = body.get("spec") or {}, body["metadata"]
    template = spec.get("template")
    if not isinstance(template, dict):
        return
    template_metadata = template.setdefault("metadata", {})
    labels = template_metadata.get("labels") or {}
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)
    if spec.get("manualSelector"):
        return
    own = {
        "batch.kubernetes.io/controller-uid": metadata["uid"],
        "batch.kubernetes.io/job-name": metadata.get("name", ""),
        "controller-uid": metadata["uid"],
        "job-name": metadata.get("name", ""),
    }
    template_metadata["labels"] = {**labels, **{name: labels.get(name, value) for name, value in own.items()}}
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault("batch.kubernetes.io/controller-uid", metadata["uid"])


def changed_certificate_request(body: Body, old: Body) -> None:
    """Keep what was asked for: a signer must sign what was approved."""
    body["spec"] = old["spec"]
