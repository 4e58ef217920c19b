"""``kubectl get`` of volumes, claims and what provisions them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer, wide
from protocol.objects.keys import Body

_SHORT_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _modes(modes: Any) -> str:
    given = set(modes or ())
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in given)


def _phase(body: Body) -> str:
    return "Terminating" if body["metadata"].get("deletionTimestamp") else at(body, "status", "phase") or ""


@printer(
    "persistentvolumes", NAME, Column("Capacity"), Column("Access Modes"), Column("Reclaim Policy"), Column("Status"),
    Column("Claim"), Column("StorageClass"), Column("VolumeAttributesClass"), Column("Reason"), AGE,
    wide("VolumeMode"),
)  # fmt: skip
def volume_cells(body: Body, now: float) -> Cells:
    """Return a PersistentVolume's row."""
    spec = body.get("spec") or {}
    claim = spec.get("claimRef")
    return [
        body["metadata"]["name"],
        at(spec, "capacity", "storage") or "",
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(body),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        at(body, "status", "reason") or "",
        created(body, now),
        spec.get("volumeMode") or "<unset>",
    ]


@printer(
    "persistentvolumeclaims", NAME, Column("Status"), Column("Volume"), Column("Capacity"), Column("Access Modes"),
    Column("StorageClass"), Column("VolumeAttributesClass"), AGE, wide("VolumeMode"),
)  # fmt: skip
def claim_cells(body: Body, now: float) -> Cells:
    """Return a PersistentVolumeClaim's row."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    volume = spec.get("volumeName") or ""
    return [
        body["metadata"]["name"],
        _phase(body),
        volume,
        (at(status, "capacity", "storage") or "") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        created(body, now),
        spec.get("volumeMode") or "<unset>",
    ]


@printer(
    "storageclasses.storage.k8s.io", NAME, Column("Provisioner"), Column("ReclaimPolicy"), Column("VolumeBindingMode"),
    Column("AllowVolumeExpansion"), AGE,
)  # fmt: skip
def storage_class_cells(body: Body, now: float) -> Cells:
    """Return a StorageClass's row."""
    name, annotations = body["metadata"]["name"], body["metadata"].get("annotations") or {}
    if any(annotations.get(each) == "true" for each in _DEFAULT_CLASS):
        name += " (default)"
    return [
        name,
        body.get("provisioner", ""),
        body.get("reclaimPolicy", "Delete"),
        body.get("volumeBindingMode", "Immediate"),
        _flag(body.get("allowVolumeExpansion")),
        created(body, now),
    ]


@printer(
    "volumeattachments.storage.k8s.io", NAME, Column("Attacher"), Column("PV"), Column("Node"), Column("Attached"), AGE
)
def attachment_cells(body: Body, now: float) -> Cells:
    """Return a VolumeAttachment's row."""
    return [
        body["metadata"]["name"],
        at(body, "spec", "attacher") or "",
        at(body, "spec", "source", "persistentVolumeName") or "",
        at(body, "spec", "nodeName") or "",
        _flag(at(body, "status", "attached")),
        created(body, now),
    ]


@printer("csinodes.storage.k8s.io", NAME, Column("Drivers", "integer"), AGE)
def csi_node_cells(body: Body, now: float) -> Cells:
    """Return a CSINode's row."""
    return [body["metadata"]["name"], len(at(body, "spec", "drivers") or ()), created(body, now)]


@printer(
    "csidrivers.storage.k8s.io", NAME, Column("AttachRequired", "boolean"), Column("PodInfoOnMount", "boolean"),
    Column("StorageCapacity", "boolean"), Column("TokenRequests"), Column("RequiresRepublish", "boolean"),
    Column("Modes"), AGE,
)  # fmt: skip
def csi_driver_cells(body: Body, now: float) -> Cells:
    """Return a CSIDriver's row."""
    spec = body.get("spec") or {}
    return [
        body["metadata"]["name"],
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        _listed(each.get("audience", "") for each in spec.get("tokenRequests") or ()) or "<unset>",
        bool(spec.get("requiresRepublish")),
        _listed(spec.get("volumeLifecycleModes") or ()) or "<none>",
        created(body, now),
    ]


@printer("csistoragecapacities.storage.k8s.io", NAME, Column("StorageClassName"), Column("Capacity"))
def storage_capacity_cells(body: Body, now: float) -> Cells:
    """Return a CSIStorageCapacity's row."""
    del now
    capacity = body.get("capacity")
    return [
        body["metadata"]["name"],
        body.get("storageClassName", ""),
        "<unset>" if capacity is None else str(capacity),
    ]


def _flag(value: Any) -> str:
    return "true" if value else "false"


def _listed(values: Iterable[str]) -> str:
    return ",".join(values)
