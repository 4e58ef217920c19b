"""What a Device and its DeviceModel say: which properties there are, of what shape, and what is desired of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.objects.devices import KEY_LIMIT
from protocol.objects.keys import Body, Uid
from protocol.objects.propertyvalues import PropertyShape, property_shape

PROPERTIES_LIMIT: Final = 256
"""Properties of one device at most; further ones are passed over."""


@dataclass(frozen=True, slots=True)
class Desired:
    """A value that the cloud desires.

    Attributes:
        text: The value.
        token: The whole of what the cloud has written: another token is another write, also of the same value.
    """

    text: str
    token: str


@dataclass(frozen=True, slots=True)
class DeviceShape:
    """A device as the cloud describes it.

    Attributes:
        namespace: Of the Device.
        name: Its name.
        uid: Its uid.
        generation: Grows with each change of its spec.
        properties: Its properties by name.
        desired: What the cloud desires, by property.
        description: For people.
    """

    namespace: str
    name: str
    uid: Uid
    generation: int
    properties: Mapping[str, PropertyShape] = field(default_factory=dict)
    desired: Mapping[str, Desired] = field(default_factory=dict)
    description: str = ""


def shape_of(device: Body, model: Body | None) -> DeviceShape:
    """Return what the cloud says of a device.

    Args:
        device: The Device.
        model: Its DeviceModel; None while it is not held: its properties are then texts that may be written.
    """
    metadata = device["metadata"]
    shapes = {name: property_shape(each) for name, each in _named(_spec(model or {}))}
    desired = {}
    for name, each in _named(_spec(device)):
        shapes.setdefault(name, PropertyShape())
        wanted = _desired(each.get("desired"))
        if wanted is not None:
            desired[name] = wanted
    return DeviceShape(
        metadata.get("namespace", ""),
        metadata["name"],
        Uid(metadata.get("uid", "")),
        _whole(metadata.get("generation")),
        dict(list(shapes.items())[:PROPERTIES_LIMIT]),
        desired,
        str(_spec(device).get("description") or ""),
    )


def _spec(body: Body) -> Body:
    spec = body.get("spec")
    return spec if isinstance(spec, dict) else {}


def _named(spec: Body) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in spec.get("properties") or ():
        name = each.get("name") if isinstance(each, dict) else None
        if isinstance(name, str) and 0 < len(name) <= KEY_LIMIT:
            yield name, each


def _desired(value: object) -> Desired | None:
    text = value.get("value") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text:
        return None
    return Desired(text, json.dumps(value, sort_keys=True))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
