"""Names and small rules of claims, volumes and storage classes that scheduler, binder and admission share.

Source: Kubernetes "Persistent Volumes", "Storage Classes", and the annotations its volume binder writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.objects.keys import Body

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER: Final = "volume.beta.kubernetes.io/storage-provisioner"
CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION: Final = "kubernetes.io/pv-protection"


def annotation(body: Body, name: str) -> str:
    """Return one of an object's annotations, or an empty string."""
    return str((body["metadata"].get("annotations") or {}).get(name, ""))


def class_of(body: Body) -> str:
    """Return the storage class that a claim asks for or a volume is of; empty for none."""
    return annotation(body, CLASS_ANNOTATION) or str((body.get("spec") or {}).get("storageClassName") or "")


def states_class(claim: Body) -> bool:
    """Tell whether a claim says which class it wants; to want none is to say so."""
    return bool(annotation(claim, CLASS_ANNOTATION)) or (claim.get("spec") or {}).get("storageClassName") is not None


def default_class(classes: Iterable[Body]) -> Body | None:
    """Return the storage class of claims that name none: of several marked as default the youngest."""
    marked = [body for body in classes if any(annotation(body, name) == "true" for name in DEFAULT_CLASS)]
    marked.sort(key=lambda body: body["metadata"]["name"])
    return max(marked, key=lambda body: str(body["metadata"].get("creationTimestamp", "")), default=None)


def waits_for_pod(storage_class: Body | None) -> bool:
    """Tell whether claims of the class are bound only once a pod that uses them has a node."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_bound(claim: Body) -> bool:
    """Tell whether a claim's binding is complete, as far as the claim knows."""
    return bool((claim.get("spec") or {}).get("volumeName")) and bool(annotation(claim, BIND_COMPLETED))
