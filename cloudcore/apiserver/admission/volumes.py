"""Admission of claims and volumes: the default storage class, and protection while in use.

Source: Kubernetes' DefaultStorageClass and StorageObjectInUseProtection plugins.
"""

from __future__ import annotations

from cloudcore.apiserver.admission.chain import Admission, Operation
from protocol.objects.resources import CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from protocol.objects.storageclasses import CLAIM_PROTECTION, VOLUME_PROTECTION, default_class, states_class


class DefaultStorageClass:
    """Gives claims that name no storage class the default one, if there is one."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of claims."""
        return operation is Operation.CREATE and resource == CLAIMS and not subresource

    async def admit(self, admission: Admission) -> None:
        """Set the class."""
        if states_class(admission.body):
            return
        listing = await admission.store.list(STORAGE_CLASSES)
        found = default_class(record.decode() for record in listing.records)
        if found is not None:
            admission.body.setdefault("spec", {})["storageClassName"] = found["metadata"]["name"]


class VolumeProtection:
    """Gives claims and volumes the finalizer that keeps them while they are in use."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of claims and volumes."""
        return operation is Operation.CREATE and resource in (CLAIMS, PERSISTENT_VOLUMES) and not subresource

    async def admit(self, admission: Admission) -> None:
        """Add the finalizer."""
        wanted = CLAIM_PROTECTION if admission.target.kind.resource == CLAIMS else VOLUME_PROTECTION
        finalizers = admission.body["metadata"].setdefault("finalizers", [])
        if wanted not in finalizers:
            finalizers.append(wanted)
