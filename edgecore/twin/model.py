"""The twin of a device: desired and reported values with versions on both sides, and the rule for conflicts.

A *version* is KubeEdge's pair. Of a desired value, ``cloud`` is the Device's generation with the cloud's newest write
and ``edge`` counts the writes made here; of a reported one, ``edge`` counts the reports.

The rule where both sides wrote:

- **reported**: only the edge writes. What the device says, stands.
- **desired**: the cloud's newer write wins. If a write made here is lost by that, one that the cloud had not
  acknowledged when its own came, it is kept among the twin's conflicts. A write made here after the cloud's stands
  until the cloud writes again.

A write of the cloud is a change of what it says of *that property*: another property's change, a repeat after a
reconnect, and a restart write nothing.

Twins are immutable: every function returns the next one, so that what the disk refuses has never happened.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from edgecore.twin.shape import Desired, DeviceShape
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Uid
from protocol.objects.propertyvalues import PropertyShape, ValueRefused

CONFLICTS_KEPT: Final = 100
"""Conflicts of one device that are remembered; the oldest is forgotten first, and counted."""


class State(enum.StrEnum):
    """Whether a device answers, as it or its mapper says."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class WriteRefused(AiokubeedgeError):
    """A write to a twin is not acceptable; nothing of it is taken.

    Args:
        reason: One sentence for a person.
        conflict: Whether it was based on versions that are no longer the newest.
    """

    def __init__(self, reason: str, *, conflict: bool = False) -> None:
        super().__init__(reason)
        self.conflict = conflict


@dataclass(frozen=True, slots=True)
class Version:
    """How often each side has written a value."""

    cloud: int = 0
    edge: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A value and when it was written, milliseconds since the epoch."""

    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a twin.

    Attributes:
        expected: What is desired.
        expected_version: How often that was written.
        acknowledged: The newest edge version of the desired value that the cloud has acknowledged.
        token: What the cloud had written when last heard; None for nothing.
        actual: What was reported.
        actual_version: How often that was.
        problem: Why the cloud's desired value is not acceptable; empty where it is.
    """

    expected: Value | None = None
    expected_version: Version = Version()
    acknowledged: int = 0
    token: str | None = None
    actual: Value | None = None
    actual_version: Version = Version()
    problem: str = ""

    @property
    def delta(self) -> str | None:
        """What the device should be told: the desired value where the reported one is another."""
        if self.expected is None or (self.actual is not None and self.actual.text == self.expected.text):
            return None
        return self.expected.text


@dataclass(frozen=True, slots=True)
class Conflict:
    """A desired value written here that lost against the cloud's.

    Attributes:
        property: Which property.
        lost: The value written here; empty where it was deleted here.
        won: The cloud's; empty where it withdrew its own.
        cloud: The cloud version that won.
        edge: The edge version that lost.
        at_ms: When it was settled, milliseconds since the epoch.
    """

    property: str
    lost: str
    won: str
    cloud: int
    edge: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Write:
    """What a message asks of one property; None leaves a value as it is.

    Attributes:
        expected: The value to desire.
        actual: The value to report.
        based_on: The version of the desired value that the writer knows; None where it does not say.
        reported_on: The version of the reported value that it knows.
        delete: Forget both values.
    """

    expected: str | None = None
    actual: str | None = None
    based_on: Version | None = None
    reported_on: Version | None = None
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Twin:
    """A device's twin.

    Attributes:
        uid: Of the Device it is of.
        properties: By name.
        state: Whether the device answers.
        last_online_ms: When it was last heard of, milliseconds since the epoch; 0 for never.
        conflicts: Writes that lost, oldest first.
        conflicts_forgotten: How many more there were.
    """

    uid: Uid
    properties: Mapping[str, Property] = field(default_factory=dict)
    state: State = State.UNKNOWN
    last_online_ms: int = 0
    conflicts: tuple[Conflict, ...] = ()
    conflicts_forgotten: int = 0

    @property
    def deltas(self) -> dict[str, str]:
        """What the device should be told, by property."""
        return {name: each.delta for name, each in self.properties.items() if each.delta is not None}


def shaped(twin: Twin | None, shape: DeviceShape, now_ms: int) -> Twin:
    """Return the twin of a device after the cloud has described it.

    Args:
        twin: What it was; None, or of another uid, where the device is new.
        shape: What the cloud says.
        now_ms: Milliseconds since the epoch.
    """
    if twin is None or twin.uid != shape.uid:
        twin = Twin(shape.uid)
    properties: dict[str, Property] = {}
    lost: list[Conflict] = []
    for name, of in shape.properties.items():
        before = twin.properties.get(name, Property())
        after = _desired(before, of, shape.desired.get(name), shape.generation, now_ms)
        properties[name] = after
        if conflict := _conflict(name, before, after, now_ms):
            lost.append(conflict)
    return _with_conflicts(replace(twin, properties=properties), lost)


def _desired(before: Property, shape: PropertyShape, desired: Desired | None, generation: int, now_ms: int) -> Property:
    """Return a property after what the cloud desires of it."""
    token = None if desired is None else desired.token
    problem = _problem(shape, desired)
    if before.token == token:
        if not (before.problem and not problem):
            return replace(before, problem=problem)
        # The model has come, or has changed, and what was refused is acceptable now: it counts as written now.
    elif problem:
        return replace(before, token=token, problem=problem)
    version = Version(max(generation, before.expected_version.cloud + 1), before.expected_version.edge)
    value = None if desired is None else Value(desired.text, now_ms)
    return replace(before, expected=value, expected_version=version, acknowledged=version.edge, token=token, problem="")


def _problem(shape: PropertyShape, desired: Desired | None) -> str:
    if desired is None:
        return ""
    if shape.read_only:
        return "the property is read-only"
    try:
        shape.check(desired.text)
    except ValueRefused as refused:
        return str(refused)
    return ""


def _conflict(name: str, before: Property, after: Property, now_ms: int) -> Conflict | None:
    """Return the conflict that the cloud's write has ended; None where it met no write of the edge."""
    unknown_to_cloud = before.expected_version.edge > before.acknowledged
    taken = after.expected_version != before.expected_version
    won = "" if after.expected is None else after.expected.text
    if not taken or not unknown_to_cloud or before.expected is None or before.expected.text == won:
        return None
    return Conflict(name, before.expected.text, won, after.expected_version.cloud, before.expected_version.edge, now_ms)


def _with_conflicts(twin: Twin, lost: list[Conflict]) -> Twin:
    if not lost:
        return twin
    conflicts = (*twin.conflicts, *lost)
    kept = conflicts[-CONFLICTS_KEPT:]
    return replace(twin, conflicts=kept, conflicts_forgotten=twin.conflicts_forgotten + len(conflicts) - len(kept))


def written(twin: Twin, shape: DeviceShape, writes: Mapping[str, Write], now_ms: int) -> Twin:
    """Return the twin after writes made at the edge: all of them, or none.

    Raises:
        WriteRefused: A property is unknown or read-only, a value is of another type or out of range, or a version is
            not the newest.
    """
    properties = dict(twin.properties)
    heard = False
    for name, write in writes.items():
        of = shape.properties.get(name)
        if of is None or name not in properties:
            raise WriteRefused(f"the device has no property {name}")
        properties[name] = _written(name, properties[name], of, write, now_ms)
        heard = heard or write.actual is not None
    return replace(twin, properties=properties, last_online_ms=now_ms if heard else twin.last_online_ms)


def _written(name: str, before: Property, shape: PropertyShape, write: Write, now_ms: int) -> Property:
    if write.based_on not in (None, before.expected_version) or write.reported_on not in (None, before.actual_version):
        raise WriteRefused(f"the property {name} has been written since", conflict=True)
    if write.delete:
        return replace(
            before,
            expected=None,
            expected_version=_next(before.expected_version),
            actual=None,
            actual_version=_next(before.actual_version),
        )
    after = before
    if write.expected is not None:
        if shape.read_only:
            raise WriteRefused(f"the property {name} is read-only")
        _check(name, shape, write.expected)
        value = Value(write.expected, now_ms)
        after = replace(after, expected=value, expected_version=_next(before.expected_version))
    if write.actual is not None:
        _check(name, shape, write.actual)
        after = replace(after, actual=Value(write.actual, now_ms), actual_version=_next(before.actual_version))
    return after


def _check(name: str, shape: PropertyShape, text: str) -> None:
    try:
        shape.check(text)
    except ValueRefused as refused:
        raise WriteRefused(f"property {name}: {refused}") from refused


def _next(version: Version) -> Version:
    return Version(version.cloud, version.edge + 1)


def acknowledged(twin: Twin, edge_versions: Mapping[str, int]) -> Twin:
    """Return the twin after the cloud has acknowledged what was reported to it.

    Args:
        twin: What it was.
        edge_versions: The edge version of each desired value in the report.
    """
    properties = {
        name: replace(each, acknowledged=max(each.acknowledged, edge_versions.get(name, 0)))
        for name, each in twin.properties.items()
    }
    return twin if properties == twin.properties else replace(twin, properties=properties)


def stated(twin: Twin, state: State, now_ms: int) -> Twin:
    """Return the twin after its device, or its mapper, has told whether it answers."""
    online = state is State.ONLINE
    return replace(twin, state=state, last_online_ms=now_ms if online else twin.last_online_ms)
