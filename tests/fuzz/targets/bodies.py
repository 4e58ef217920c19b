"""Bodies of items, as the edge reads what comes down and the cloud what comes up. Only verdicts may come of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgpack
import orjson

from cloudcore.hub import reports
from edgecore.meta.batch import Batch
from edgecore.meta.slice import Slice, UndecodableBody, decode
from protocol.messages import Item, Op, Outcome
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import EVENTS, NODE_STATUS, POD_STATUS
from tests.fuzz.bounds import at_most

FACTOR: Final = 128
"""A map of one entry takes 232 bytes for three of msgpack."""
KEY: Final = ObjectKey("pods", "default", "web")
UP: Final = (
    Item(Op.PUT, ObjectKey(POD_STATUS, "default", "web"), Uid("u"), Revision(1)),
    Item(Op.PUT, ObjectKey(NODE_STATUS, "", "edge-1"), Uid(""), Revision(1)),
    Item(Op.COMMAND, ObjectKey(EVENTS, "default", "web.1"), Uid(""), Revision(1), b"", "web.1"),
)


def one_input(data: bytes) -> None:
    """Take ``data`` as a body."""
    with at_most(len(data), FACTOR):
        down(data)
    with at_most(len(data), FACTOR):
        for item in UP:
            up(item._replace(body=data))


def down(body: bytes) -> None:
    """Hold it at the edge."""
    batch = Batch(Slice(), {}, line=1, may_complete=True)
    verdict = batch.judge(Item(Op.PUT, KEY, Uid("u"), Revision(1), body))
    try:
        metadata = decode(body)["metadata"]
    except UndecodableBody:
        assert verdict.outcome is Outcome.REJECTED
        return
    named = (metadata.get("namespace", ""), metadata.get("name"), metadata.get("uid", ""))
    assert (verdict.outcome is Outcome.APPLIED) == (named == ("default", "web", "u"))
    batch.changes()


def up(item: Item) -> None:
    """Report it to the cloud; what passes can be stored as JSON."""
    try:
        if item.op is Op.COMMAND:
            event = reports.event_of(item, "edge-1")  # type: ignore[arg-type]  # a NodeName is a str
            reports.subject_of(event)
            orjson.dumps(event)
        else:
            status = reports.status_of(item)
            resource = item.key.resource.partition("/")[0]
            merged = reports.merged_status(resource, {"conditions": [{"type": "Ready", "status": "True"}]}, status)
            orjson.dumps(merged)
    except reports.Refused:
        pass


def seeds() -> Iterable[bytes]:
    """Return bodies as they should be, and nearly."""
    pod: Body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "uid": "u"}}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.1"}
    event = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web", "uid": "u"},
        "reason": "Started",
        "source": {"component": "edgecore"},
    }
    bodies: list[Body] = [pod, {"status": status}, event, {"metadata": []}, {"status": {"conditions": [1]}}]
    for body in bodies:
        yield msgpack.packb(body)
    yield b"\x81" * 1500 + b"\xc0"
    yield b"\x91" * 1500 + b"\xc0"
    yield b"\x81\xc4\x01k\xc0"
    yield b"\x81\xa8metadata\xd6\xff\x00\x00\x00\x00"
