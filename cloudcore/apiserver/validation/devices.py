"""Rules of DeviceModels and Devices beyond their schemas.

KubeEdge takes any bound, any property and any value; what cannot be meant is refused here, with the field's path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from cloudcore.apiserver.validation.fields import forbidden, invalid, not_found, required
from cloudcore.errors import Cause
from protocol.objects.devices import VALUE_LIMIT
from protocol.objects.keys import Body
from protocol.objects.propertyvalues import PropertyShape, ValueRefused, bound_of, property_shape

_NUMBERS: Final = frozenset({"INT", "FLOAT", "DOUBLE"})
_NAME: Final = re.compile(r"[a-zA-Z0-9\-_.,:/@#]+")
"""What KubeEdge's edge takes as the name of a twin's property."""


class SchemaChecks(Protocol):
    """What a kind's schema says of its objects."""

    def check(self, body: Body) -> list[Cause]:
        """Return what is wrong with a new object."""

    def check_update(self, body: Body, old: Body) -> list[Cause]:
        """Return what is wrong with a changed one."""


class ModelRules:
    """The rules of DeviceModels.

    Args:
        schema: The checks of their schema; what it refuses is not looked at further.
    """

    def __init__(self, schema: SchemaChecks) -> None:
        self._schema = schema

    def check(self, body: Body) -> list[Cause]:
        """Return what is wrong with a new DeviceModel."""
        return self._schema.check(body) or list(_model_causes(body))

    def check_update(self, body: Body, old: Body) -> list[Cause]:
        """Return what is wrong with a changed DeviceModel."""
        return self._schema.check_update(body, old) or list(_model_causes(body))


class DeviceRules:
    """The rules of Devices; what their model says of values is admission's matter.

    Args:
        schema: The checks of their schema; what it refuses is not looked at further.
    """

    def __init__(self, schema: SchemaChecks) -> None:
        self._schema = schema

    def check(self, body: Body) -> list[Cause]:
        """Return what is wrong with a new Device."""
        return self._schema.check(body) or list(_device_causes(body))

    def check_update(self, body: Body, old: Body) -> list[Cause]:
        """Return what is wrong with a changed Device."""
        return self._schema.check_update(body, old) or list(_device_causes(body))


def _properties(body: Body) -> list[Mapping[str, Any]]:
    return (body.get("spec") or {}).get("properties") or []


def _model_causes(body: Body) -> Iterator[Cause]:
    for index, each in enumerate(_properties(body)):
        path = f"spec.properties[{index}]"
        yield from _name_causes(f"{path}.name", each["name"])
        if not each.get("type"):
            yield required(f"{path}.type")
        yield from _bound_causes(path, each)


def _bound_causes(path: str, each: Mapping[str, Any]) -> Iterator[Cause]:
    bounds = {side: each[side] for side in ("minimum", "maximum") if each.get(side)}
    for side, text in bounds.items():
        if each.get("type") not in _NUMBERS:
            yield invalid(f"{path}.{side}", text, f"a {each.get('type', '')} has no {side}")
        elif bound_of(text) is None:
            yield invalid(f"{path}.{side}", text, "must be a number")
    low, high = bound_of(bounds.get("minimum")), bound_of(bounds.get("maximum"))
    if low is not None and high is not None and low > high:
        yield invalid(f"{path}.maximum", bounds["maximum"], "must not be less than the minimum")


def _device_causes(body: Body) -> Iterator[Cause]:
    spec = body.get("spec") or {}
    if not (spec.get("deviceModelRef") or {}).get("name"):
        yield required("spec.deviceModelRef.name")
    for index, each in enumerate(_properties(body)):
        yield from _name_causes(f"spec.properties[{index}].name", each["name"])
    names = {each["name"] for each in _properties(body)}
    for index, method in enumerate(spec.get("methods") or ()):
        path = f"spec.methods[{index}].propertyNames"
        if not method.get("propertyNames"):
            yield required(path)
        for at, name in enumerate(method.get("propertyNames") or ()):
            if name not in names:
                yield not_found(f"{path}[{at}]", name)


def _name_causes(path: str, name: str) -> Iterator[Cause]:
    if _NAME.fullmatch(name) is None:
        yield invalid(path, name, "may hold letters, digits and -_.,:/@# only")


def check_call_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed DeviceCall: what was asked for stays as it was asked."""
    return [] if body.get("spec") == old.get("spec") else [forbidden("spec", "a call cannot be changed: make another")]


def value_causes(device: Body, model: Body) -> Iterator[Cause]:
    """Yield what is wrong with the desired values of a Device, by what its DeviceModel says of its properties."""
    shapes = {each["name"]: property_shape(each) for each in _properties(model)}
    for index, each in enumerate(_properties(device)):
        path = f"spec.properties[{index}]"
        shape = shapes.get(each["name"])
        if shape is None:
            detail = f"the DeviceModel {model['metadata']['name']} has no such property"
            yield invalid(f"{path}.name", each["name"], detail)
            continue
        value = (each.get("desired") or {}).get("value")
        if value:
            yield from _desired_causes(f"{path}.desired.value", value, shape)


def _desired_causes(path: str, value: str, shape: PropertyShape) -> Iterator[Cause]:
    if shape.read_only:
        yield invalid(path, value[:VALUE_LIMIT], "the property is read-only")
        return
    try:
        shape.check(value)
    except ValueRefused as error:
        yield invalid(path, value, str(error))
