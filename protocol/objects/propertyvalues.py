"""Values of device properties: texts on the wire, typed by the DeviceModel, within its range."""

from __future__ import annotations

import base64
import binascii
import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import AiokubeedgeError

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_INT64: Final = range(-(2**63), 2**63)


class ValueRefused(AiokubeedgeError):
    """A value is not of its property's type, or beyond its range."""


class ValueType(enum.StrEnum):
    """The types of a DeviceModel's properties, as KubeEdge's twin documents name them."""

    INT = "int"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    STREAM = "stream"


def value_type(name: object) -> ValueType:
    """Return the type that a DeviceModel calls ``name`` (``INT``), a text where it says nothing known."""
    try:
        return ValueType(str(name).lower())
    except ValueError:
        return ValueType.STRING


@dataclass(frozen=True, slots=True)
class PropertyShape:
    """What a DeviceModel says of a property.

    Attributes:
        type: Its type.
        read_only: Whether nobody may desire a value.
        minimum: Its least value, None for none; numbers only.
        maximum: Its greatest value, None for none.
    """

    type: ValueType = ValueType.STRING
    read_only: bool = False
    minimum: float | None = None
    maximum: float | None = None

    def check(self, text: str) -> None:
        """Make sure that ``text`` is a value of this property.

        Raises:
            ValueRefused: It is not.
        """
        value = convert(text, self.type)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if self.minimum is not None and value < self.minimum:
            raise ValueRefused(f"the value {text} is below the minimum {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            raise ValueRefused(f"the value {text} is above the maximum {self.maximum:g}")


def convert(text: str, kind: ValueType) -> str | int | float | bool | bytes:
    """Return the value that ``text`` writes.

    Bytes are base64; a stream's value is where to find it, a text.

    Raises:
        ValueRefused: It is none of this type.
    """
    match kind:
        case ValueType.INT:
            if not _WHOLE.fullmatch(text) or int(text) not in _INT64:
                raise ValueRefused(f"the value {text[:40]!r} is not int or integer")
            return int(text)
        case ValueType.FLOAT | ValueType.DOUBLE:
            if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
                raise ValueRefused(f"the value {text[:40]!r} is not float")
            return float(text)
        case ValueType.BOOLEAN:
            if text not in ("true", "false"):
                raise ValueRefused(f"the value {text[:40]!r} must be true or false")
            return text == "true"
        case ValueType.BYTES:
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return text.encode()  # KubeEdge takes any text for bytes
        case _:
            return text


def property_shape(each: Mapping[str, Any]) -> PropertyShape:
    """Return what a DeviceModel's entry says of its property; KubeEdge writes bounds as texts."""
    return PropertyShape(
        value_type(each.get("type", "")),
        read_only=each.get("accessMode") == "ReadOnly",
        minimum=bound_of(each.get("minimum")),
        maximum=bound_of(each.get("maximum")),
    )


def bound_of(value: object) -> float | None:
    """Return a bound that a DeviceModel states; None where it is no finite number."""
    try:
        bound = float(value)  # type: ignore[arg-type] # what is no number is no bound
    except (TypeError, ValueError):
        return None
    return bound if math.isfinite(bound) else None
