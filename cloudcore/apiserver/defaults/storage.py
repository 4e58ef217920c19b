"""Defaults of volumes, claims and what provisions them.

Source: Kubernetes ``core/v1`` and ``storage/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from protocol.objects.keys import Body


def default_volume(body: Body) -> None:
    """Fill the absent fields of a PersistentVolume."""
    spec = body.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")
    body.setdefault("status", {}).setdefault("phase", "Pending")


def default_claim(body: Body) -> None:
    """Fill the absent fields of a PersistentVolumeClaim."""
    body.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    body.setdefault("status", {}).setdefault("phase", "Pending")


def default_storage_class(body: Body) -> None:
    """Fill the absent fields of a StorageClass."""
    body.setdefault("reclaimPolicy", "Delete")
    body.setdefault("volumeBindingMode", "Immediate")


def default_csi_driver(body: Body) -> None:
    """Fill the absent fields of a CSIDriver."""
    spec = body.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("volumeLifecycleModes", ["Persistent"])
    for name in ("podInfoOnMount", "requiresRepublish", "seLinuxMount", "storageCapacity"):
        spec.setdefault(name, False)
