"""KubeEdge's MQTT topics: which one a message came in on, and which one an answer goes out on.

A device is named ``<namespace>/<name>``; ``<name>`` alone, as before v1beta1, is of namespace ``default``. Names are
those of Kubernetes objects: what has a wildcard, a ``..`` or anything else in it names no device.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from edgecore.twin.book import DeviceName

_DEVICE: Final = "$hw/events/device/"
_NODE: Final = "$hw/events/node/"
_CONNECTED: Final = "$hw/events/connected/"
_DISCONNECTED: Final = "$hw/events/disconnected/"
_MAPPER_DATA: Final = "$ke/events/device/"

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL)
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


class Asks(enum.StrEnum):
    """What a message asks for."""

    TWIN_UPDATE = "twin/update"
    TWIN_GET = "twin/get"
    STATE_UPDATE = "state/update"
    STATE_GET = "state/get"
    DATA_UPDATE = "data/update"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    MEMBERSHIP_GET = "membership/get"
    MEMBERSHIP_DETAIL = "membership/detail"


_DEVICE_ASKS: Final = {
    each.value: each for each in (Asks.TWIN_UPDATE, Asks.TWIN_GET, Asks.STATE_UPDATE, Asks.STATE_GET)
}
_NODE_ASKS: Final = {each.value: each for each in (Asks.MEMBERSHIP_GET, Asks.MEMBERSHIP_DETAIL)}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message is addressed to.

    Attributes:
        asks: What it asks for.
        device: Of which device; None where it is about the node.
        spelled: How the sender names the device or the node, for the topic of the answer.
    """

    asks: Asks
    device: DeviceName | None
    spelled: str

    def topic(self, suffix: str) -> str:
        """Return the topic ``suffix`` of this device or node."""
        return f"{_NODE if self.device is None else _DEVICE}{self.spelled}/{suffix}"


def subscriptions(node: str) -> tuple[str, ...]:
    """Return the topic filters that bring everything a node answers."""
    of_device = [f"{_DEVICE}{levels}/{asks}" for levels in ("+/+", "+") for asks in _DEVICE_ASKS]
    of_node = [f"{_NODE}{node}/{asks}" for asks in _NODE_ASKS]
    of_life = [f"{prefix}{levels}" for prefix in (_CONNECTED, _DISCONNECTED) for levels in ("+/+", "+")]
    return (*of_device, *of_node, *of_life, f"{_MAPPER_DATA}+/+/{Asks.DATA_UPDATE}")


def parse(topic: str, node: str) -> Address | None:
    """Return where ``topic`` is addressed to; None where it asks this node for nothing."""
    for prefix, asks in ((_CONNECTED, Asks.CONNECTED), (_DISCONNECTED, Asks.DISCONNECTED)):
        if topic.startswith(prefix):
            return _of_device(asks, topic.removeprefix(prefix))
    if topic.startswith(_DEVICE):
        name, suffix = _split(topic.removeprefix(_DEVICE))
        return _of_device(_DEVICE_ASKS[suffix], name) if suffix in _DEVICE_ASKS else None
    if topic.startswith(_MAPPER_DATA):
        name, suffix = _split(topic.removeprefix(_MAPPER_DATA))
        return _of_device(Asks.DATA_UPDATE, name) if suffix == Asks.DATA_UPDATE else None
    if topic.startswith(f"{_NODE}{node}/"):
        suffix = topic.removeprefix(f"{_NODE}{node}/")
        return Address(_NODE_ASKS[suffix], None, node) if suffix in _NODE_ASKS else None
    return None


def device_topic(device: DeviceName, suffix: str) -> str:
    """Return the topic ``suffix`` of a device."""
    return f"{_DEVICE}{device.namespace}/{device.name}/{suffix}"


def node_topic(node: str, suffix: str) -> str:
    """Return the topic ``suffix`` of a node."""
    return f"{_NODE}{node}/{suffix}"


def _split(rest: str) -> tuple[str, str]:
    """Return the name of a device, and what comes after it: two levels."""
    levels = rest.rsplit("/", 2)
    return (levels[0], f"{levels[1]}/{levels[2]}") if len(levels) == 3 else ("", "")


def _of_device(asks: Asks, spelled: str) -> Address | None:
    namespace, slash, name = spelled.partition("/")
    if not slash:
        namespace, name = "default", spelled
    if not _NAMESPACE.fullmatch(namespace) or not _NAME.fullmatch(name):
        return None
    return Address(asks, DeviceName(namespace, name), spelled)
