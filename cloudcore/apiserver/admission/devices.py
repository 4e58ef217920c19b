"""Admission: what people desire of a device is what its model allows."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.validation.devices import value_causes
from cloudcore.errors import NotFound
from protocol.objects.devices import DEVICE_MODELS, DEVICES, model_of
from protocol.objects.keys import ObjectKey


class DeviceValues:
    """Holds a Device's properties and desired values to its DeviceModel, as far as that is there yet.

    A change of the model is not held to the Devices that follow it: their twins say what does not fit any more.
    """

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in writes of Devices."""
        return resource == DEVICES and not subresource and operation is not Operation.DELETE

    async def admit(self, admission: Admission) -> None:
        """Refuse a property that the model does not have, and a value that is not of its type or range.

        Raises:
            Invalid: There is one; the causes name the fields.
        """
        body, old = admission.body, admission.old
        if old is not None and old.get("spec") == body.get("spec"):
            return  # a label or a finalizer: nothing here is the writer's doing
        try:
            record = await admission.store.get(ObjectKey(DEVICE_MODELS, admission.target.namespace, model_of(body)))
        except NotFound:
            return
        causes = list(value_causes(body, record.decode()))
        if causes:
            raise failures.invalid(admission.target.kind, admission.target.name, causes)
