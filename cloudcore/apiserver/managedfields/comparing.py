"""What changed between two objects, as sets of fields; and which fields an object has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cloudcore.apiserver.managedfields.fieldsets import MEMBER, FieldSet, union
from cloudcore.apiserver.managedfields.shapes import Shape
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body

_NOT_OWNED: Final = frozenset({"apiVersion", "kind"})
_METADATA_NOT_OWNED: Final = frozenset(
    {
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""What the server sets, or what names the object: nobody's."""


@dataclass(slots=True)
class Comparison:
    """What changed.

    Attributes:
        removed: Fields that were there.
        modified: Fields with another value.
        added: Fields that were not there.
    """

    removed: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    added: FieldSet = field(default_factory=dict)

    @property
    def written(self) -> FieldSet:
        """The fields that got a value."""
        return union(self.modified, self.added)

    def attach(self, step: str, other: Comparison) -> None:
        """Take in what changed below a step."""
        if other.removed:
            self.removed[step] = other.removed
        if other.modified:
            self.modified[step] = other.modified
        if other.added:
            self.added[step] = other.added


def owned_part(body: Body) -> Body:
    """Return what of an object can have owners; it shares parts with ``body``."""
    part = {name: value for name, value in body.items() if name not in _NOT_OWNED}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        part["metadata"] = {name: value for name, value in metadata.items() if name not in _METADATA_NOT_OWNED}
        if not part["metadata"]:
            del part["metadata"]
    return part


def compare(old: Body, new: Body, shape: Shape) -> Comparison:
    """Return what changed from one object to another."""
    comparison = Comparison()
    _compare_objects(owned_part(old), owned_part(new), shape, comparison)
    return comparison


def _compare_objects(old: Body, new: Body, shape: Shape, into: Comparison) -> None:
    for name, value in old.items():
        step = "f:" + name
        if name not in new:
            into.removed[step] = written_fields(value, shape.child(name))
        elif new[name] != value:
            _compare_values(value, new[name], shape.child(name), into, step)
    for name, value in new.items():
        if name not in old:
            into.added["f:" + name] = written_fields(value, shape.child(name))


def _compare_values(old: Any, new: Any, shape: Shape | None, into: Comparison, step: str) -> None:
    """Compare two values that differ."""
    shape = shape or _UNKNOWN
    below = Comparison()
    if isinstance(old, dict) and isinstance(new, dict) and not shape.is_atomic:
        _compare_objects(old, new, shape, below)
    elif isinstance(old, list) and isinstance(new, list) and (shape.keys or shape.is_set):
        if not _compare_lists(old, new, shape, below):
            into.modified[step] = {}
            return
    else:
        into.modified[step] = {}
        return
    into.attach(step, below)


def _compare_lists(old: list[Any], new: list[Any], shape: Shape, into: Comparison) -> bool:
    """Compare lists whose elements have an identity; False where they are not told apart after all."""
    before, after = by_step(old, shape), by_step(new, shape)
    if before is None or after is None:
        return False
    for step, item in before.items():
        if step not in after:
            into.removed[step] = written_fields(item, shape.items)
        elif after[step] != item:
            _compare_values(item, after[step], shape.items, into, step)
    for step, item in after.items():
        if step not in before:
            into.added[step] = written_fields(item, shape.items)
    return True


def by_step(items: list[Any], shape: Shape) -> dict[str, Any] | None:
    """Return a list's elements by the step to each; None where two have the same, or one has none."""
    found: dict[str, Any] = {}
    for item in items:
        step = shape.step_of(item)
        if step is None or step in found:
            return None
        found[step] = item
    return found


_BARE_METADATA: Final[FieldSet] = {"f:creationTimestamp": {}}
"""What is owned of a template's metadata that says nothing; with Kubernetes it has this field. Who owned the metadata
as a whole would take away with it the labels that the server has put there."""


def written_fields(value: Any, shape: Shape | None) -> FieldSet:
    """Return the node of a value that is written as a whole: it, and everything in it, is a member."""
    shape = shape or _UNKNOWN
    node: FieldSet = {}
    if isinstance(value, dict) and value and not shape.is_atomic:
        node = {} if shape.is_plain else {MEMBER: {}}
        for name, item in value.items():
            bare = name == "metadata" and item == {} and shape.knows(name)
            node["f:" + name] = dict(_BARE_METADATA) if bare else written_fields(item, shape.child(name))
    elif isinstance(value, list) and value and (shape.keys or shape.is_set):
        items = by_step(value, shape)
        if items is not None:
            node = {MEMBER: {}, **{step: written_fields(item, shape.items) for step, item in items.items()}}
    return node


def created_fields(body: Body, shape: Shape) -> FieldSet:
    """Return the fields of a new object, as owned by who created it."""
    return {"f:" + name: written_fields(value, shape.child(name)) for name, value in owned_part(body).items()}


def applied_fields(config: Body, shape: Shape) -> FieldSet:
    """Return the fields that an applied configuration states.

    Raises:
        BadRequest: The schema does not have one of them, or elements of a list cannot be told apart.
    """
    return _applied_object(owned_part(config), shape, "")


def _applied_object(value: Body, shape: Shape, path: str) -> FieldSet:
    fields: FieldSet = {}
    for name, item in value.items():
        where = f"{path}.{name}"
        child = shape.child(name)
        if child is None:
            raise BadRequest(f"failed to create typed patch object: {where}: field not declared in schema")
        node = _applied_value(item, child, where)
        # An entry of a map is there because somebody stated it; a struct's field with parts is its parts.
        entry = not shape.knows(name) and node
        fields["f:" + name] = {MEMBER: {}, **node} if entry else node
    return fields


def _applied_value(value: Any, shape: Shape, path: str) -> FieldSet:
    if _is_one_value(value, shape):
        return {}
    if isinstance(value, dict):
        return _applied_object(value, shape, path)
    node: FieldSet = {}
    for index, item in enumerate(value):
        step = shape.step_of(item)
        if step is None:
            raise BadRequest(
                f"failed to create typed patch object: {path}[{index}]: element lacks its keys {shape.keys}"
            )
        if step in node:
            raise BadRequest(f"failed to create typed patch object: {path}: duplicate entries for key {step[2:]}")
        inner = _applied_value(item, shape.items, f"{path}[{index}]") if not shape.is_set else {}
        node[step] = {MEMBER: {}, **inner} if inner else {}
    return node


def _is_one_value(value: Any, shape: Shape) -> bool:
    if isinstance(value, dict):
        return shape.is_atomic or not value
    return not (isinstance(value, list) and value and (shape.keys or shape.is_set))


_UNKNOWN: Final = Shape(None)
