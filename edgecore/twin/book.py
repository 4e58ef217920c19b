"""All twins of a node, and drafts of changes to them: what a draft holds has not happened until it is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edgecore.twin.model import Twin
from edgecore.twin.shape import DeviceShape


class DeviceName(NamedTuple):
    """Names a device on its node.

    Attributes:
        namespace: Of the Device.
        name: Its name.
    """

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device as it is known here.

    Attributes:
        shape: What the cloud says of it.
        twin: Its twin.
    """

    shape: DeviceShape
    twin: Twin


@dataclass(frozen=True, slots=True)
class Reported:
    """One reported value, for the log of reports."""

    device: DeviceName
    property: str
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A device that has come, changed or gone.

    Attributes:
        name: Which.
        before: What it was; None where it is new.
        after: What it is; None where it has gone.
    """

    name: DeviceName
    before: Device | None
    after: Device | None


class Book:
    """The devices of a node."""

    def __init__(self) -> None:
        self._devices: dict[DeviceName, Device] = {}

    def __len__(self) -> int:
        """Return how many devices there are."""
        return len(self._devices)

    def get(self, name: DeviceName) -> Device | None:
        """Return a device; None where it is not of this node."""
        return self._devices.get(name)

    def devices(self) -> Iterator[tuple[DeviceName, Device]]:
        """Yield each device with its name."""
        yield from self._devices.items()

    def take(self, draft: Draft) -> list[Changed]:
        """Make a draft that is on disk come true, and return what it changed."""
        changes = []
        for name, after in draft.overlay.items():
            before = self._devices.get(name)
            if after == before:
                continue
            if after is None:
                del self._devices[name]
            else:
                self._devices[name] = after
            changes.append(Changed(name, before, after))
        return changes


class Draft:
    """Changes to a book that have not been made yet.

    Attributes:
        overlay: The devices it changes; None for one that goes.
        reports: Values reported, in their order.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.overlay: dict[DeviceName, Device | None] = {}
        self.reports: list[Reported] = []

    def get(self, name: DeviceName) -> Device | None:
        """Return a device as it would be."""
        return self.overlay[name] if name in self.overlay else self._book.get(name)

    def devices(self) -> Iterator[tuple[DeviceName, Device]]:
        """Yield each device as it would be."""
        names = dict.fromkeys([*(name for name, _ in self._book.devices()), *self.overlay])
        for name in names:
            device = self.get(name)
            if device is not None:
                yield name, device

    def put(self, name: DeviceName, device: Device | None) -> None:
        """Change a device; None makes it go."""
        self.overlay[name] = device

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not self.overlay and not self.reports
