"""What the API shows of devices beyond their objects: DeviceStatuses, and the history of reports."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from typing import Final

from cloudcore.devices.reportlog import ReportLog
from cloudcore.store.base import Record
from protocol.objects.devices import GROUP_VERSION
from protocol.objects.keys import Body
from protocol.objects.times import micro_timestamp

REPORTS_SHOWN: Final = 1000
"""Reports of one device in an answer: the newest ones."""

_OBSERVED: Final = ("twins", "state", "lastOnlineTime", "extensions")


class DeviceViews:
    """Providers of virtual kinds.

    Args:
        devices: Returns the newest records of Devices.
        reports: The log of reports.
    """

    def __init__(self, devices: Callable[[], Collection[Record]], reports: ReportLog) -> None:
        self._devices = devices
        self._reports = reports

    def statuses(self, namespace: str, name: str) -> list[Body]:
        """Return the DeviceStatuses of a namespace (empty: all) with a name (empty: any)."""
        return [
            _status_of(record.decode())
            for record in self._devices()
            if namespace in ("", record.key.namespace) and name in ("", record.key.name)
        ]

    def histories(self, namespace: str, name: str) -> list[Body]:
        """Return the DeviceHistories; with the reports themselves where one is named."""
        return [self._history(*device, with_reports=bool(name)) for device in self._held(namespace, name)]

    def _held(self, namespace: str, name: str) -> Iterator[tuple[str, str]]:
        for device in self._reports.held:
            if namespace in ("", device[0]) and name in ("", device[1]):
                yield device

    def _history(self, namespace: str, name: str, *, with_reports: bool) -> Body:
        device = (namespace, name)
        status: Body = {"held": self._reports.held[device], "dropped": self._reports.dropped[device]}
        if with_reports:
            status["reports"] = [
                {"property": each.property, "value": each.value, "time": micro_timestamp(each.at_ms / 1000)}
                for each in self._reports.history(namespace, name, REPORTS_SHOWN)
            ]
        return {"metadata": {"name": name, "namespace": namespace}, "status": status}


def _status_of(device: Body) -> Body:
    """Return the DeviceStatus of a Device: the same name, owned by it, with what is observed of it."""
    metadata = device["metadata"]
    observed = device.get("status") or {}
    owner = {"apiVersion": GROUP_VERSION, "kind": "Device", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            # A uid of its own, the same whenever it is asked for.
            "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, metadata["uid"])),
            "creationTimestamp": metadata["creationTimestamp"],
            "ownerReferences": [owner],
        },
        "spec": {},
        "status": {name: observed[name] for name in _OBSERVED if name in observed},
    }
