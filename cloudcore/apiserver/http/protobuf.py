r"""Request bodies in Kubernetes' protobuf form, decoded into plain objects. Sans-IO but for reading its table.

Go clients of 1.33 and newer (``kubectl create``, ``drain``, ``auth``) send built-in kinds as protobuf and do not
fall back to JSON, while every one of them reads JSON answers; so this decodes and nothing here encodes.
``protobuf.json`` holds the numbers, names and types of the fields as Kubernetes 1.33 has them on the wire; a field
named ``.`` is a struct that JSON inlines.

A body is the magic ``k8s\0`` and a ``runtime.Unknown``: type, content. Go writes every field that is no pointer, set
or not, and the wire does not tell which those are: empty strings, and zeros that mean "not set", are left out.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import orjson

from cloudcore.errors import BadRequest, UnsupportedMediaType
from protocol.objects.keys import Body

_MAGIC: Final = b"k8s\x00"
_MAX_DEPTH: Final = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_UNSET_WHEN_ZERO: Final = frozenset(
    {
        "failureThreshold",
        "generation",
        "healthCheckNodePort",
        "globalDefault",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostPort",
        "initialDelaySeconds",
        "minReadySeconds",
        "nodePort",
        "observedGeneration",
        "paused",
        "periodSeconds",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "successThreshold",
        "timeoutSeconds",
        "tty",
        "unschedulable",
    }
)
_MEANT_WHEN_EMPTY: Final = frozenset({"storageClassName"})

Fields = dict[int, tuple[str, str]]


def decode_protobuf(data: bytes) -> Body:
    """Decode a protobuf body.

    Raises:
        BadRequest: It is not well-formed.
        UnsupportedMediaType: It is of a kind without a protobuf form here.
    """
    if not data.startswith(_MAGIC):
        raise BadRequest("the object provided is unrecognized: the body lacks the protobuf magic")
    try:
        envelope = dict(_fields(data[len(_MAGIC) :]))
        type_meta = dict(_fields(_message_bytes(envelope.get(1, b""))))
        api_version, kind = (_message_bytes(type_meta.get(each, b"")).decode() for each in (1, 2))
        message = _message_of(api_version, kind)
        if message is None:
            raise UnsupportedMediaType(f"{api_version} {kind} is not known in protobuf: send JSON")
        body = _decode(message, _message_bytes(envelope.get(2, b"")), 0)
    except (IndexError, ValueError, struct.error, OverflowError) as error:
        raise BadRequest(f"the object provided is unrecognized: protobuf: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **body}


def _message_of(api_version: str, kind: str) -> str | None:
    group, _, version = api_version.rpartition("/")
    package = group.split(".", 1)[0] or "core"
    names = (f"{package}.{version}.{kind}", f"apis.meta.v1.{kind}")
    return next((name for name in names if name in _messages()), None)


@lru_cache(maxsize=1)
def _messages() -> dict[str, Fields]:
    table = orjson.loads((resources.files(__package__) / "protobuf.json").read_bytes())
    return {
        message: {int(number): (name, kind) for number, (name, kind) in fields.items()}
        for message, fields in table.items()
    }


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each field: an int for a varint, else its bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(data, position)
        elif wire_type in {_FIXED64, _FIXED32}:
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + size > len(data):
            raise ValueError("truncated")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint of more than 64 bits")


def _message_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _decode(message: str, data: bytes, depth: int) -> Body:
    if depth > _MAX_DEPTH:
        raise ValueError("nests too deep")
    known = _messages()[message]
    body: Body = {}
    for number, value in _fields(data):
        name, kind = known.get(number, ("", ""))
        if name == ".":
            body.update(_decode(kind, _message_bytes(value), depth + 1))
        elif name:
            _add(body, name, kind, value, depth)
    return body


def _add(body: Body, name: str, kind: str, value: int | bytes, depth: int) -> None:
    """Put one field's value into ``body``: append it, enter it or set it."""
    if kind.startswith("list "):
        body.setdefault(name, []).append(_value(kind.removeprefix("list "), value, depth))
    elif kind.startswith("map "):
        entry = dict(_fields(_message_bytes(value)))
        key = _message_bytes(entry.get(1, b"")).decode()
        body.setdefault(name, {})[key] = _value(kind.removeprefix("map "), entry.get(2, b""), depth)
    else:
        decoded = _value(kind, value, depth)
        unset = decoded is None or (decoded == "" and name not in _MEANT_WHEN_EMPTY)
        if not unset and not (decoded == 0 and name in _UNSET_WHEN_ZERO):
            body[name] = decoded


def _value(kind: str, value: int | bytes, depth: int) -> Any:
    if kind in {"int", "bool"}:
        if not isinstance(value, int):
            raise ValueError("bytes where a number should be")
        return bool(value) if kind == "bool" else value - (1 << 64) if value >> 63 else value
    data = _message_bytes(value)
    if kind == "string":
        return data.decode()
    if kind == "bytes":
        return base64.b64encode(data).decode()
    if kind == "double":
        return struct.unpack("<d", data)[0]
    special = _SPECIAL.get(kind)
    return special(data) if special is not None else _decode(kind, data, depth + 1)


def _time(data: bytes) -> str | None:
    return _timestamp(data, "seconds")


def _micro_time(data: bytes) -> str | None:
    return _timestamp(data, "microseconds")


def _timestamp(data: bytes, precision: str) -> str | None:
    fields = dict(_fields(data))
    if not fields:
        return None
    seconds, nanos = fields.get(1, 0), fields.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or seconds >> 63:
        raise ValueError("a time before 1970")
    when = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
    return when.isoformat(timespec=precision).replace("+00:00", "Z")


def _quantity(data: bytes) -> str:
    return _message_bytes(dict(_fields(data)).get(1, b"")).decode()


def _int_or_string(data: bytes) -> int | str:
    fields = dict(_fields(data))
    if fields.get(1):
        return _message_bytes(fields.get(3, b"")).decode()
    number = _value("int", fields.get(2, 0), 0)
    return int(number)


def _raw_json(data: bytes) -> Any:
    raw = dict(_fields(data)).get(1, b"")
    return orjson.loads(_message_bytes(raw)) if raw else None


_SPECIAL: Final = {
    "apis.meta.v1.Time": _time,
    "apis.meta.v1.MicroTime": _micro_time,
    "apis.meta.v1.FieldsV1": _raw_json,
    "runtime.RawExtension": _raw_json,
    "api.resource.Quantity": _quantity,
    "util.intstr.IntOrString": _int_or_string,
}
