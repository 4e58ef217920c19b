"""What is done for a message: the changes it drafts and the messages that answer it. No I/O, no clock.

A batch of messages is drafted into one change of the twins. Answers that say "done" go out once it is on disk; where
the disk refuses, every request of the batch is answered 500 instead, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import structlog

from edgecore.bus import payloads
from edgecore.bus.flood import DeviceFlood
from edgecore.bus.payloads import BadPayload, Json
from edgecore.bus.topics import Address, Asks, device_topic, node_topic, parse
from edgecore.twin.book import Changed, Device, DeviceName, Draft, Reported
from edgecore.twin.model import State, WriteRefused, stated, written

log = structlog.get_logger("edgecore.bus")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came or goes."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of a batch.

    Attributes:
        now: Seconds on a monotonic clock.
        now_ms: Milliseconds since the epoch.
    """

    now: float
    now_ms: int


class Desk:
    """Answers messages about the devices of a node.

    Args:
        node: The node's name.
        flood: Counts each device's messages.

    Attributes:
        node: The node's name.
        flood: What counts.
    """

    def __init__(self, node: str, flood: DeviceFlood | None = None) -> None:
        self.node = node
        self.flood = flood or DeviceFlood()

    def serve(self, messages: Iterable[Message], draft: Draft, at: Clock) -> list[Message]:
        """Draft what ``messages`` ask, in order, and return what to say once that is on disk."""
        answers: list[Message] = []
        for message in messages:
            address = parse(message.topic, self.node)
            if address is not None and self._admit(address, answers, at):
                self._serve(address, message.payload, draft, at, answers)
        return answers

    def unavailable(self, messages: Iterable[Message], now_ms: int) -> list[Message]:
        """Return what to say where the disk has refused what ``messages`` asked."""
        answers = []
        for message in messages:
            address = parse(message.topic, self.node)
            if address is None or address.asks not in (Asks.TWIN_UPDATE, Asks.STATE_UPDATE):
                continue
            try:
                event_id, _ = payloads.read_message(message.payload)
            except BadPayload as bad:
                event_id = bad.event_id
            reason = "the device's disk does not take it"
            result = payloads.error_result(event_id, payloads.INTERNAL_ERROR, reason, now_ms)
            answers.append(Message(address.topic(f"{address.asks}/result"), result))
        return answers

    def announce(self, changes: Sequence[Changed], now_ms: int) -> list[Message]:
        """Return what tells of changes that the cloud has made: who has come or gone, and how devices should be."""
        said: list[Message] = []
        added = [(each.name, each.after) for each in changes if each.after is not None and _another(each)]
        removed = [(each.name, each.before) for each in changes if each.before is not None and _another(each)]
        if added or removed:
            topic = node_topic(self.node, "membership/updated")
            said.append(Message(topic, payloads.membership_message(added, removed, now_ms)))
        for change in changes:
            if change.after is not None:
                said += _twin_messages(change.name, change.before, change.after, "", now_ms)
        return said

    def deltas(self, devices: Iterable[tuple[DeviceName, Device]], now_ms: int) -> list[Message]:
        """Return what tells all devices how they should be: nobody knows what a broker that was away has lost."""
        said = []
        for name, device in devices:
            delta = payloads.delta_message(device, now_ms)
            if delta is not None:
                said.append(Message(device_topic(name, "twin/update/delta"), delta))
        return said

    def _admit(self, address: Address, answers: list[Message], at: Clock) -> bool:
        device = address.device
        if device is None or self.flood.spend(device, at.now):
            return True
        if self.flood.may_tell(device, at.now):
            log.warning("a device sends more than its share", device=f"{device.namespace}/{device.name}")
            reason = "the device sends more than its share, and is not heard for a while"
            result = payloads.error_result("", payloads.TOO_MANY, reason, at.now_ms)
            answers.append(Message(address.topic("twin/update/result"), result))
        return False

    def _serve(self, address: Address, payload: bytes, draft: Draft, at: Clock, answers: list[Message]) -> None:
        try:
            answers += self._answers(address, payload, draft, at.now_ms)
        except BadPayload as bad:
            answers.append(_failure(address, bad.event_id, payloads.BAD_REQUEST, str(bad), at.now_ms))
        except _Refused as refused:
            answers.append(_failure(address, refused.event_id, refused.code, refused.reason, at.now_ms))

    def _answers(self, address: Address, payload: bytes, draft: Draft, now_ms: int) -> list[Message]:
        name = address.device
        if name is None:
            event_id, _ = payloads.read_message(payload)
            full = address.asks is Asks.MEMBERSHIP_DETAIL
            result = payloads.membership_result(event_id, draft.devices(), now_ms, full=full)
            return [Message(address.topic(f"{address.asks}/result"), result)]
        match address.asks:
            case Asks.TWIN_UPDATE:
                return _update(address, name, payload, draft, now_ms)
            case Asks.TWIN_GET:
                event_id, _ = _read(payload)
                result = payloads.twin_result(event_id, _device(name, draft, event_id), now_ms)
                return [Message(address.topic("twin/get/result"), result)]
            case Asks.STATE_GET:
                event_id, _ = _read(payload)
                result = payloads.state_result(event_id, _device(name, draft, event_id), now_ms)
                return [Message(address.topic("state/get/result"), result)]
            case Asks.STATE_UPDATE:
                event_id, state = payloads.read_state(payload)
            case Asks.DATA_UPDATE:
                _log_data(name, payload, draft, now_ms)
                return []
            case _:
                event_id, state = "", State.ONLINE if address.asks is Asks.CONNECTED else State.OFFLINE
        device = _device(name, draft, event_id)
        device = replace(device, twin=stated(device.twin, state, now_ms))
        draft.put(name, device)
        return [Message(address.topic("state/update/result"), payloads.state_result(event_id, device, now_ms))]


class _Refused(Exception):
    def __init__(self, event_id: str, code: int, reason: str) -> None:
        super().__init__(reason)
        self.event_id = event_id
        self.code = code
        self.reason = reason


def _failure(address: Address, event_id: str, code: int, reason: str, now_ms: int) -> Message:
    asks = Asks.STATE_UPDATE if address.asks in (Asks.CONNECTED, Asks.DISCONNECTED) else address.asks
    topic = address.topic(f"{asks}/result")
    return Message(topic, payloads.error_result(event_id, code, reason, now_ms))


def _read(payload: bytes) -> tuple[str, Json]:
    """Return a request that may be empty: what it is for is in its topic."""
    return payloads.read_message(payload) if payload.strip() else ("", {})


def _device(name: DeviceName, draft: Draft, event_id: str) -> Device:
    device = draft.get(name)
    if device is None:
        raise _Refused(event_id, payloads.NOT_FOUND, f"Device {name.namespace}/{name.name} not found")
    return device


def _update(address: Address, name: DeviceName, payload: bytes, draft: Draft, now_ms: int) -> list[Message]:
    update = payloads.read_twin_update(payload)
    before = _device(name, draft, update.event_id)
    try:
        after = replace(before, twin=written(before.twin, before.shape, update.writes, now_ms))
    except WriteRefused as refused:
        code = payloads.CONFLICT if refused.conflict else payloads.BAD_REQUEST
        raise _Refused(update.event_id, code, str(refused)) from refused
    draft.put(name, after)
    draft.reports += [
        Reported(name, each, write.actual, now_ms) for each, write in update.writes.items() if write.actual is not None
    ]
    result = Message(address.topic("twin/update/result"), payloads.update_result(update, after, now_ms))
    return [result, *_twin_messages(name, before, after, update.event_id, now_ms, address)]


def _log_data(name: DeviceName, payload: bytes, draft: Draft, now_ms: int) -> None:
    """Put what a mapper pushes into the log of reports; the twin stays as it is, as with KubeEdge."""
    event_id, values = payloads.read_data(payload)
    known = _device(name, draft, event_id).shape.properties
    draft.reports += [Reported(name, each, text, now_ms) for each, text in values.items() if each in known]


def _twin_messages(
    name: DeviceName, before: Device | None, after: Device, event_id: str, now_ms: int, address: Address | None = None
) -> list[Message]:
    """Return the document of what has changed, and the delta where the device is not as it should be."""
    topic = address.topic if address is not None else lambda suffix: device_topic(name, suffix)
    document = payloads.document_message(event_id, before, after, now_ms)
    delta = payloads.delta_message(after, now_ms)
    said = []
    if document is not None:
        said.append(Message(topic("twin/update/document"), document))
    if delta is not None:
        said.append(Message(topic("twin/update/delta"), delta))
    return said


def _another(change: Changed) -> bool:
    """Tell whether a device has come, gone or been replaced, rather than changed."""
    return change.before is None or change.after is None or change.before.twin.uid != change.after.twin.uid
