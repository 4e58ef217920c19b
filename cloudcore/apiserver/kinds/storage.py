"""Rows of volumes, claims and what provisions them."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.storage import (
    default_claim,
    default_csi_driver,
    default_storage_class,
    default_volume,
)
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.storage import (
    check_claim,
    check_claim_update,
    check_storage_class,
    check_storage_class_update,
    check_volume,
    check_volume_update,
)

_CORE: Final = "io.k8s.api.core.v1."
_SCHEMA: Final = "io.k8s.api.storage.v1."
_GROUP: Final = "storage.k8s.io"

ROWS: Final = (
    Kind(
        kind="PersistentVolume",
        plural="persistentvolumes",
        schema=_CORE + "PersistentVolume",
        returns_deleted=True,
        namespaced=False,
        short_names=("pv",),
        subresources=(status_of("PersistentVolume"),),
        status=True,
        defaults=default_volume,
        validate=check_volume,
        validate_update=check_volume_update,
    ),
    Kind(
        kind="PersistentVolumeClaim",
        plural="persistentvolumeclaims",
        schema=_CORE + "PersistentVolumeClaim",
        returns_deleted=True,
        short_names=("pvc",),
        subresources=(status_of("PersistentVolumeClaim"),),
        status=True,
        defaults=default_claim,
        validate=check_claim,
        validate_update=check_claim_update,
    ),
    Kind(
        kind="StorageClass",
        plural="storageclasses",
        group=_GROUP,
        schema=_SCHEMA + "StorageClass",
        returns_deleted=True,
        namespaced=False,
        short_names=("sc",),
        defaults=default_storage_class,
        validate=check_storage_class,
        validate_update=check_storage_class_update,
    ),
    Kind(
        kind="VolumeAttachment",
        plural="volumeattachments",
        group=_GROUP,
        schema=_SCHEMA + "VolumeAttachment",
        namespaced=False,
        subresources=(status_of("VolumeAttachment", _GROUP),),
        status=True,
        first_status={"attached": False},
        returns_deleted=True,
    ),
    Kind(kind="CSINode", plural="csinodes", group=_GROUP, schema=_SCHEMA + "CSINode", namespaced=False),
    Kind(
        kind="CSIDriver",
        plural="csidrivers",
        group=_GROUP,
        schema=_SCHEMA + "CSIDriver",
        returns_deleted=True,
        namespaced=False,
        defaults=default_csi_driver,
    ),
    Kind(
        kind="CSIStorageCapacity",
        plural="csistoragecapacities",
        group=_GROUP,
        schema=_SCHEMA + "CSIStorageCapacity",
    ),
)
