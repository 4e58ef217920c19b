"""What travels about devices: resources, and the bodies of the items that edges send up (``docs/protocol.md``).

Down come Devices (to the node of their ``spec.nodeName``) and the DeviceModels they refer to, like all desired state.
Up go, per device, its newest state (a put, coalesced), and every report in order (commands, in batches).

Versions of a desired value are KubeEdge's pair. ``cloud`` is the Device's ``metadata.generation`` with which the edge
learnt the cloud's newest write of that property; ``edge`` counts the writes made at the edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body

GROUP: Final = "devices.kubeedge.io"
GROUP_VERSION: Final = f"{GROUP}/v1beta1"
DEVICES: Final = f"devices.{GROUP}"
DEVICE_MODELS: Final = f"devicemodels.{GROUP}"
DEVICE_STATUSES: Final = f"devicestatuses.{GROUP}"

DEVICE_STATUS: Final = f"{DEVICES}/status"
"""Key of the put that goes up with a device's newest state: namespace, name and uid of the Device.

Its body is ``{"status": {…}}`` with the fields of a DeviceStatus: ``twins``, ``state``, ``lastOnlineTime``,
``extensions``. A twin's ``observedDesired.metadata`` has ``cloudVersion`` and ``edgeVersion``, ``reported.metadata``
has ``timestamp`` (milliseconds) and ``edgeVersion``, as texts; ``extensions.conflicts`` lists the newest conflicts
(:data:`CONFLICTS_SHOWN`): ``property``, ``lost`` (the edge's value), ``won`` (the cloud's), ``cloudVersion``, ``at``.
"""

DEVICE_REPORTS: Final = f"{DEVICES}/reports"
"""Key of the command that goes up with reports in order; its name is the node's. Body: :func:`encode_reports`."""

CONFLICTS_SHOWN: Final = 10

KEY_LIMIT: Final = 128
"""Characters of a property's name at most, as KubeEdge has it."""

VALUE_LIMIT: Final = 512
"""Characters of a property's value at most."""


class Report(NamedTuple):
    """One value that a device reported.

    Attributes:
        namespace: Of the Device.
        device: Its name.
        property: Which property.
        value: What was reported, as text.
        at_ms: When, milliseconds since the epoch on the edge's clock.
        number: Grows by one with each report of the node, so that a gap tells how many were dropped.
    """

    namespace: str
    device: str
    property: str
    value: str
    at_ms: int
    number: int


class MalformedReports(AiokubeedgeError):
    """The body of a command of reports is not one."""


def encode_reports(reports: Iterable[Report]) -> bytes:
    """Return the body of the command that carries ``reports``."""
    encoded: bytes = msgpack.packb([tuple(report) for report in reports])
    return encoded


def decode_reports(body: bytes) -> Sequence[Report]:
    """Return the reports that ``body`` carries.

    Raises:
        MalformedReports: It carries none.
    """
    try:
        rows = msgpack.unpackb(body)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedReports("not msgpack") from error
    if not isinstance(rows, list):
        raise MalformedReports("not a list")
    return [_report(row) for row in rows]


def _report(row: Any) -> Report:
    if not isinstance(row, list) or len(row) != len(Report._fields):
        raise MalformedReports("a report has six fields")
    texts, numbers = row[:4], row[4:]
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise MalformedReports("a report is four texts and two numbers")
    return Report(*row)


def model_of(device: Body) -> str:
    """Return the name of the DeviceModel that ``device`` refers to, in its namespace; empty where it names none."""
    spec = device.get("spec")
    reference = spec.get("deviceModelRef") if isinstance(spec, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    return name if isinstance(name, str) else ""
