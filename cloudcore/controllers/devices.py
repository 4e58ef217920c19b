"""Devices of nodes that are not heard of: their state is unknown, until the node is heard of again.

Whether a device answers, its node says. The cloud writes a device's state only while the node cannot, and keeps what it
wrote over beside it: a node that is back tells only what has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import NotFound
from cloudcore.informers.indexes import BY_NODE, node_of_pod
from protocol.objects.conditions import find_condition
from protocol.objects.devices import DEVICES
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import NODES

UNKNOWN: Final = "unknown"
REPORTED_STATE: Final = "reportedState"
"""In ``status.extensions``: what the node last said, while the state is unknown because of the node."""

_EVENTS: Final[dict[str, tuple[Literal["Normal", "Warning"], str, str]]] = {
    "online": ("Normal", "DeviceOnline", "The device answers."),
    "offline": ("Warning", "DeviceOffline", "The device does not answer."),
    UNKNOWN: ("Warning", "DeviceUnknown", "Nobody can tell whether the device answers."),
}


def is_heard_of(node: Body | None) -> bool:
    """Tell whether a node says what its devices do: it is there, and its lease has not run out."""
    if node is None:
        return False
    ready = find_condition((node.get("status") or {}).get("conditions"), "Ready")
    return ready is None or ready["status"] != "Unknown"


def plan(status: Body, *, heard_of: bool) -> Body | None:
    """Return the status that a Device should have; None where it is right.

    Args:
        status: The Device's.
        heard_of: Whether its node can speak for it.
    """
    state = status.get("state") or ""
    extensions = status.get("extensions") or {}
    kept = extensions.get(REPORTED_STATE)
    if heard_of:
        if kept is None:
            return None
        rest = {name: value for name, value in extensions.items() if name != REPORTED_STATE}
        restored = {**status, "state": kept, "extensions": rest}
        return restored if rest else {name: value for name, value in restored.items() if name != "extensions"}
    if state in ("", UNKNOWN):
        return None
    return {**status, "state": UNKNOWN, "extensions": {**extensions, REPORTED_STATE: state}}


class DeviceController:
    """Makes devices unknown and known again with their nodes, and records an Event when a device's state changes."""

    name = "device"
    workers = 2

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder.named("device-controller")
        self._nodes = context.informers.for_resource(NODES)
        self._devices = context.informers.for_resource(DEVICES)
        self._devices.add_index(BY_NODE, node_of_pod)
        self._seen: dict[ObjectKey, str] = {}

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow Devices, and nodes that are no longer heard of, or again."""
        return (Watching(DEVICES, own_keys(DEVICES)), Watching(NODES, self._keys_of_node))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Set the state of one Device."""
        device = self._devices.get(key)
        if device is None:
            self._seen.pop(key, None)
            return DONE
        node = (device.get("spec") or {}).get("nodeName") or ""
        status = device.get("status") or {}
        heard_of = bool(node) and is_heard_of(self._nodes.get(ObjectKey(NODES, "", node)))
        wanted = plan(status, heard_of=heard_of)
        if wanted is not None:
            try:
                await self._client.update(DEVICES, {**device, "status": wanted}, subresource="status")
            except NotFound:
                return DONE
        self._tell(key, device, (status if wanted is None else wanted).get("state") or "")
        return DONE

    def _tell(self, key: ObjectKey, device: Body, state: str) -> None:
        """Record that a state has changed; what it was before this process began is told by nobody again."""
        before = self._seen.get(key)
        self._seen[key] = state
        if before is not None and before != state and state in _EVENTS:
            self._recorder.event(device, *_EVENTS[state])

    def _keys_of_node(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        node = new or old
        if node is None or (old is not None and is_heard_of(old) == is_heard_of(new)):
            return ()
        devices = self._devices.list(index=BY_NODE, value=node["metadata"]["name"])
        return [key_of(DEVICES, device) for device in devices]
