"""KubeEdge's MQTT payloads: JSON of what mappers send and of what they are answered.

Result codes: 400 for what is malformed or not acceptable, 404 for a device that is not here, 409 for a write based on a
version that is no longer the newest, 500 for a disk that takes nothing. KubeEdge has these; 429, for a device that
sends more than its share, is our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from edgecore.twin.book import Device, DeviceName
from edgecore.twin.model import Property, State, Value, Version, Write
from edgecore.twin.shape import DeviceShape
from edgecore.twin.status import timestamp
from protocol.errors import AiokubeedgeError
from protocol.objects.devices import KEY_LIMIT, VALUE_LIMIT
from protocol.objects.propertyvalues import PropertyShape

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY: Final = 429
INTERNAL_ERROR: Final = 500

SIZE_LIMIT: Final = 256 << 10
"""Bytes of a payload at most."""

_KEY: Final = re.compile(rf"[a-zA-Z0-9\-_.,:/@#]{{1,{KEY_LIMIT}}}")
_VALUE: Final = re.compile(rf"[a-zA-Z0-9\-_.,:/@#+=]{{0,{VALUE_LIMIT}}}")
_EVENT_ID_LIMIT: Final = 128

Json = dict[str, Any]


class BadPayload(AiokubeedgeError):
    """A payload is not what its topic is for.

    Args:
        reason: One sentence for a person.
        event_id: The message's id, as far as it could be read.
    """

    def __init__(self, reason: str, event_id: str = "") -> None:
        super().__init__(reason)
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class TwinUpdate:
    """A ``twin/update``.

    Attributes:
        event_id: The message's id, for the answer.
        writes: What it asks of each property.
    """

    event_id: str
    writes: Mapping[str, Write]


def read_message(payload: bytes) -> tuple[str, Json]:
    """Return a message's id and the message.

    Raises:
        BadPayload: It is no JSON object.
    """
    if len(payload) > SIZE_LIMIT:
        raise BadPayload(f"the payload is over {SIZE_LIMIT} bytes")
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadPayload("Unmarshal update request body failed, please check the request") from error
    event_id = message.get("event_id", "") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(event_id, str):
        raise BadPayload("Unmarshal update request body failed, please check the request")
    return event_id[:_EVENT_ID_LIMIT], message


def read_twin_update(payload: bytes) -> TwinUpdate:
    """Return what a ``twin/update`` asks.

    Raises:
        BadPayload: It asks nothing that can be understood, or beyond KubeEdge's limits.
    """
    event_id, message = read_message(payload)
    twin = message.get("twin")
    if not isinstance(twin, dict):
        raise BadPayload("Update twin error, key:twin does not exist", event_id)
    writes = {}
    for key, each in twin.items():
        if not _KEY.fullmatch(key):
            raise BadPayload(
                "The key of twin must only include letters, digits and - _ . , : / @ # "
                f"and be at most {KEY_LIMIT} bytes long",
                event_id,
            )
        writes[key] = _write(each, event_id)
    return TwinUpdate(event_id, writes)


def _write(each: Any, event_id: str) -> Write:
    if each is None:
        return Write(delete=True)
    if not isinstance(each, dict):
        raise BadPayload("Unmarshal update request body failed, please check the request", event_id)
    return Write(
        expected=_value(each.get("expected"), event_id),
        actual=_value(each.get("actual"), event_id),
        based_on=_version(each.get("expected_version"), event_id),
        reported_on=_version(each.get("actual_version"), event_id),
    )


def _value(each: Any, event_id: str) -> str | None:
    if each is None:
        return None
    value = each.get("value") if isinstance(each, dict) else each
    if value is None:
        return None
    if not isinstance(each, dict) or not isinstance(value, str):
        raise BadPayload("Unmarshal update request body failed, please check the request", event_id)
    if not _VALUE.fullmatch(value):
        raise BadPayload(
            "The value of twin must only include letters, digits and - _ . , : / @ # + = "
            f"and be at most {VALUE_LIMIT} bytes long",
            event_id,
        )
    return value


def _version(each: Any, event_id: str) -> Version | None:
    if each is None:
        return None
    cloud, edge = (each.get("cloud", 0), each.get("edge", 0)) if isinstance(each, dict) else (None, None)
    if type(cloud) is not int or type(edge) is not int:
        raise BadPayload("Unmarshal update request body failed, please check the request", event_id)
    return Version(cloud, edge)


def read_state(payload: bytes) -> tuple[str, State]:
    """Return the message's id and the state that a ``state/update`` tells.

    Raises:
        BadPayload: It tells none.
    """
    event_id, message = read_message(payload)
    try:
        return event_id, State(str(message.get("state")))
    except ValueError:
        raise BadPayload("the state must be online, offline or unknown", event_id) from None


def read_data(payload: bytes) -> tuple[str, dict[str, str]]:
    """Return the message's id and the values that a mapper's ``data/update`` carries.

    Raises:
        BadPayload: It carries none.
    """
    event_id, message = read_message(payload)
    data = message.get("data")
    if not isinstance(data, dict):
        raise BadPayload("the message has no data", event_id)
    values = {key: _value(each, event_id) for key, each in data.items()}
    return event_id, {key: value for key, value in values.items() if value is not None}


# Answers


def base(event_id: str, now_ms: int) -> Json:
    """Return what every message begins with; an empty id stands for itself."""
    return {"event_id": event_id, "timestamp": now_ms}


def new_event_id() -> str:
    """Return the id of a message that answers none."""
    return str(uuid4())


def encoded(message: Json) -> bytes:
    """Return a message as it goes out."""
    return json.dumps(message, separators=(",", ":")).encode()


def error_result(event_id: str, code: int, reason: str, now_ms: int) -> bytes:
    """Return the result of a request that was not done."""
    return encoded({**base(event_id, now_ms), "code": code, "reason": reason})


def update_result(update: TwinUpdate, device: Device, now_ms: int) -> bytes:
    """Return the result of a ``twin/update``: what it has written."""
    twin: Json = {}
    for name, write in update.writes.items():
        each = device.twin.properties[name]
        twin[name] = (
            None
            if write.delete
            else _document(
                name,
                device.shape,
                expected=each.expected if write.expected is not None else None,
                actual=each.actual if write.actual is not None else None,
            )
        )
    return encoded({**base(update.event_id, now_ms), "twin": twin})


def twin_result(event_id: str, device: Device, now_ms: int) -> bytes:
    """Return the result of a ``twin/get``: the whole twin."""
    return encoded({**base(event_id, now_ms), "twin": twin_document(device)})


def delta_message(device: Device, now_ms: int) -> bytes | None:
    """Return what tells a device how it should be; None where it is so."""
    delta = device.twin.deltas
    if not delta:
        return None
    wanted = {name for name, each in device.twin.properties.items() if each.expected is not None}
    twin = {name: each for name, each in twin_document(device).items() if name in wanted}
    return encoded({**base(new_event_id(), now_ms), "twin": twin, "delta": delta})


def document_message(event_id: str, before: Device | None, after: Device, now_ms: int) -> bytes | None:
    """Return what tells of each property that has changed; None where none has."""
    twin: Json = {}
    for name in dict.fromkeys([*(() if before is None else before.twin.properties), *after.twin.properties]):
        last, current = _one(before, name), _one(after, name)
        if last != current:
            twin[name] = {"last": last, "current": current}
    return encoded({**base(event_id, now_ms), "twin": twin}) if twin else None


def state_result(event_id: str, device: Device, now_ms: int) -> bytes:
    """Return the result of a ``state/update`` or ``state/get``."""
    return encoded({**base(event_id, now_ms), "device": {"name": device.shape.name, **_state(device)}})


def membership_result(event_id: str, devices: Iterable[tuple[DeviceName, Device]], now_ms: int, *, full: bool) -> bytes:
    """Return the devices of a node, with their twins where ``full``."""
    rows = [device_row(name, device, full=full) for name, device in devices]
    return encoded({**base(event_id, now_ms), "devices": rows})


def membership_message(
    added: Iterable[tuple[DeviceName, Device]], removed: Iterable[tuple[DeviceName, Device]], now_ms: int
) -> bytes:
    """Return what tells of devices that have come to a node or left it."""
    return encoded(
        {
            **base(new_event_id(), now_ms),
            "added_devices": [device_row(name, device, full=True) for name, device in added],
            "removed_devices": [device_row(name, device, full=False) for name, device in removed],
        }
    )


def device_row(name: DeviceName, device: Device, *, full: bool) -> Json:
    """Return a device as membership messages have it."""
    row: Json = {"id": f"{name.namespace}/{name.name}", "name": name.name}
    if device.shape.description:
        row["description"] = device.shape.description
    row.update(_state(device))
    if full:
        row["twin"] = twin_document(device)
    return row


def _state(device: Device) -> Json:
    row = {"state": device.twin.state.value}
    if device.twin.last_online_ms:
        row["last_online"] = timestamp(device.twin.last_online_ms)
    return row


def twin_document(device: Device) -> Json:
    """Return a twin's properties, without their versions."""
    return {
        name: _document(name, device.shape, expected=each.expected, actual=each.actual)
        for name, each in device.twin.properties.items()
    }


def _one(device: Device | None, name: str) -> Json | None:
    each: Property | None = None if device is None else device.twin.properties.get(name)
    if device is None or each is None or (each.expected is None and each.actual is None):
        return None
    return _document(name, device.shape, expected=each.expected, actual=each.actual)


def _document(name: str, shape: DeviceShape, *, expected: Value | None, actual: Value | None) -> Json:
    row: Json = {}
    if expected is not None:
        row["expected"] = {"value": expected.text, "metadata": {"timestamp": expected.at_ms}}
    if actual is not None:
        row["actual"] = {"value": actual.text, "metadata": {"timestamp": actual.at_ms}}
    return {**row, "optional": True, "metadata": {"type": shape.properties.get(name, PropertyShape()).type.value}}
