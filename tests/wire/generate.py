"""Writes the golden files beside it: ``python -m tests.wire.generate``. See ``README.md``.

The frames are made by ``protocol/``, what they say is as the reader beside it reads them: the one is written from the
code, the other from the document, and the suite holds each against the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgpack

from protocol import payloads
from protocol.compression import Codec
from protocol.dictionaries import KNOWN
from protocol.digest import Digest
from protocol.frames import FrameType, encode_frame
from protocol.heartbeat import HeartbeatDecoder, HeartbeatEncoder, Load
from protocol.messages import Hello, InventoryEntry, Item, Op, Outcome, Resume, Verdict, Welcome
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.objects.projections import projection
from protocol.payloads import Ack, Fault, Grant, Offer
from protocol.samples import Metric, reading_field
from tests.wire import examples, reader

FOLDER: Final = Path(__file__).parent
EPOCH: Final = 0x1_0000_002A
"""Over 32 bits, so that a frame's header visibly holds its low half only."""
INCARNATION: Final = "5b1c8a52-6f0e-4b2e-9a39-0f4f1d9f3c77"
NODE: Final = NodeName("edge-1")
INSTANCE: Final = "b0f3a6f0-0b3c-4f0d-8a35-6f4a1c9f7d11"
CODECS: Final = tuple(Codec)

Json = dict[str, Any]


def packed(body: Body) -> bytes:
    """Return an item's body."""
    data: bytes = msgpack.packb(body)
    return data


def _frame(means: str, kind: FrameType, payload: bytes, *, epoch: int = EPOCH, codec: Codec = Codec.NONE) -> Json:
    data = encode_frame(kind, epoch, payload, codec)
    return {"means": means, "frame": data.hex(), "read": reader.read(data)}


def _item(op: Op, resource: str, namespace: str, name: str, *, uid: str = "", version: int = 0, **rest: Any) -> Item:
    return Item(op, ObjectKey(resource, namespace, name), Uid(uid), Revision(version), **rest)


def down() -> list[Item]:
    """Return one item of each kind that goes down."""
    put = [
        Item(
            Op.PUT,
            ObjectKey(resource, body["metadata"].get("namespace", ""), body["metadata"]["name"]),
            Uid(body["metadata"]["uid"]),
            Revision(100 + number),
            packed(projection(resource, body)),
        )
        for number, (resource, body) in enumerate(examples.OBJECTS)
    ]
    gone = _item(Op.DELETE, "configmaps", "default", "old", uid="4c1f0a70-0000-4000-8000-0000000000ff", version=150)
    return [*put, gone, _item(Op.COMMAND, "resume", "", NODE, id=f"resume-{NODE}-{EPOCH}")]


def up() -> list[Item]:
    """Return one item of each kind that goes up."""
    event = examples.EVENT["metadata"]["name"]
    return [
        _item(Op.PUT, "nodes/status", "", NODE, version=1, body=packed({"status": examples.NODE_STATUS})),
        _item(
            Op.PUT,
            "pods/status",
            "default",
            "web",
            uid=examples.POD_UID,
            version=2,
            body=packed({"status": examples.POD_STATUS}),
        ),
        _item(Op.DELETE, "pods", "default", "web", uid=examples.POD_UID, version=3),
        _item(Op.COMMAND, "events", "default", event, version=4, body=packed(examples.EVENT), id=event),
    ]


_REQUEST_ID: Final = "0d9f7a4e-52a4-4f5e-9a55-0c5b7d1f2a11"


def pod_request() -> Item:
    """Return what a pod asks of the API through its node."""
    author = {"namespace": "default", "account": "app", "pod": "web", "uid": examples.POD_UID}
    asked = {
        "author": author,
        "verb": "patch",
        "path": "/api/v1/namespaces/default/configmaps/settings",
        "key": ["configmaps", "default", "settings"],
        "subresource": "",
        "content_type": "application/merge-patch+json",
        "query": {"fieldManager": "app"},
        "body": {"data": {"a": "b"}},
        "uid": "4c1f0a70-0000-4000-8000-000000000003",
        "version": 103,
    }
    return _item(Op.COMMAND, "pods/request", "default", "web", body=packed(asked), id=_REQUEST_ID)


def pod_answer() -> Item:
    """Return the answer to it."""
    failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409}
    told = packed({"code": 409, "body": failure, "version": 0})
    return _item(Op.COMMAND, "answer", "default", _REQUEST_ID, body=told, id=_REQUEST_ID)


_MIRROR_ID: Final = "5d1c1c4e-6d0b-4a41-9a0e-0c7a3f6f2b11"


def mirror_request() -> Item:
    """Return what an edge asks for so that the cloud shows its static pod."""
    name = examples.MIRROR["metadata"]["name"]
    return _item(Op.COMMAND, "pods", "default", name, body=packed(examples.MIRROR), id=_MIRROR_ID)


def mirror_answer() -> Item:
    """Return the answer to it."""
    told = packed({"uid": "4c1f0a70-0000-4000-8000-000000000012"})
    return _item(Op.COMMAND, "answer", "default", _MIRROR_ID, body=told, id=_MIRROR_ID)


_TOKEN_ID: Final = "7b0f2a86-3f5d-4c1c-8e53-2a6a1d0c9e11"


def token_request() -> Item:
    """Return what an edge asks for so that its pod has the token of its service account."""
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": examples.POD_UID}
    asked = {"spec": {"expirationSeconds": 3607, "boundObjectRef": bound, "audiences": ["vault"]}}
    return _item(Op.COMMAND, "serviceaccounts/token", "default", "app", body=packed(asked), id=_TOKEN_ID)


def token_answer() -> Item:
    """Return the answer to it."""
    status = {"token": "eyJhbGciOi…", "expirationTimestamp": "2026-03-01T11:00:07Z"}
    told = packed({"spec": {"expirationSeconds": 3607}, "status": status})
    return _item(Op.COMMAND, "answer", "default", _TOKEN_ID, body=told, id=_TOKEN_ID)


def holding() -> list[InventoryEntry]:
    """Return what an edge holds that has taken all that :func:`down` puts."""
    return [InventoryEntry(item.key, item.uid, item.version) for item in down() if item.op is Op.PUT]


def heartbeats() -> list[tuple[Json, bytes]]:
    """Return what was measured, in its order, and the heartbeat by which each is told."""
    encoder = HeartbeatEncoder()
    loads = [
        Load(120, 430, 655, 1000, 2000, 3, 0, 0xDEADBEEF),
        Load(120, 430, 655, 1000, 2000, 3, 0, 0xDEADBEEF),
        Load(125, 445, 655, 1100, 9000, 4, 1200, 0xDEADBEEF),
        Load(125, 445, 655, 1100, 9000, 4, 1300, 0x0BADCAFE),
    ]
    later = replace(loads[-1], temperature=3182, gpu=501, requests=12_500)
    uid = Uid(examples.POD_UID)
    web = {
        reading_field(uid, "web", Metric.CPU): 250,
        reading_field(uid, "web", Metric.MEMORY): 65_536,
        reading_field(uid, "", Metric.REQUESTS): 12_500,
        reading_field(uid, "", Metric.GPU): 70_000,
    }
    idle = {**web, reading_field(uid, "web", Metric.CPU): 0}
    told = [({"load": _plain(load)}, encoder.encode(load)) for load in loads]
    for load, readings in ((later, web), (later, idle), (loads[-1], {})):
        told.append(({"load": _plain(load), "readings": _named(readings)}, encoder.encode(load, readings)))
    return told


def _named(readings: Mapping[int, int]) -> Json:
    return {str(field): value for field, value in sorted(readings.items())}


def _plain(load: Load) -> Json:
    return {name: getattr(load, name) for name in load.__slots__}


def frames() -> dict[str, Json]:
    """Return every golden frame by its name."""
    offer = Offer(Grant(4096, 1 << 20), frozenset(CODECS), KNOWN)
    plain = Offer(Grant(1024, 1 << 16), frozenset({Codec.NONE}))
    digest = Digest(INCARNATION, holding())
    first = Hello(NODE, INSTANCE, agent_version="0.1.0")
    again = Hello(NODE, INSTANCE, INCARNATION, EPOCH - 1, digest.value, digest.count, "0.1.0")
    rejected = Verdict.rejected("SliceFull", "the node holds as much desired state as it may")
    exceptions = ((3, 0, rejected), (3, 2, Verdict(Outcome.LATER)))
    types = FrameType
    table = {
        "hello-first": _frame(
            "HELLO of an agent that never had a session", types.HELLO, payloads.encode_hello(first, offer), epoch=0
        ),
        "hello-plain": _frame(
            "HELLO of an agent that reads uncompressed payloads only",
            types.HELLO,
            payloads.encode_hello(first, plain),
            epoch=0,
        ),
        "hello-again": _frame(
            "HELLO of one that holds what it was sent", types.HELLO, payloads.encode_hello(again, offer), epoch=0
        ),
        "welcome-inventory": _frame(
            "WELCOME that asks for the inventory",
            types.WELCOME,
            payloads.encode_welcome(Welcome(EPOCH, INCARNATION, Resume.INVENTORY), offer),
        ),
        "welcome-equal": _frame(
            "WELCOME: nothing differs", types.WELCOME, payloads.encode_welcome(Welcome(EPOCH, INCARNATION), offer)
        ),
        "error": _frame(
            "ERROR: the cloud is busy", types.ERROR, payloads.encode_fault(Fault(4044, "the cloud is busy", 2.5))
        ),
        "error-early": _frame(
            "ERROR before a session is open has epoch 0",
            types.ERROR,
            payloads.encode_fault(Fault(4041, "there is no node edge-1")),
            epoch=0,
        ),
        "goaway": _frame("GOAWAY: come back in 1.5 s", types.GOAWAY, payloads.encode_number(1.5)),
        "ping": _frame("PING 7", types.PING, payloads.encode_number(7)),
        "pong": _frame("PONG 7", types.PONG, payloads.encode_number(7)),
        "ack": _frame("ACK: all up to 300 is settled", types.ACK, payloads.encode_ack(Ack(300, 300))),
        "ack-received": _frame("ACK: 4 has arrived, 3 is settled", types.ACK, payloads.encode_ack(Ack(3, 4))),
        "ack-exceptions": _frame(
            "ACK with a rejection and a later", types.ACK, payloads.encode_ack(Ack(3, 3, exceptions))
        ),
        "ack-window": _frame("ACK that stops the sender", types.ACK, payloads.encode_ack(Ack(3, 3, (), Grant(0, 0)))),
        "ack-times": _frame(
            "ACK with the times of batch 3",
            types.ACK,
            payloads.encode_ack(Ack(3, 3, (), Grant(64, 1 << 16), ((3, 2500, 40),))),
        ),
        "nack": _frame("NACK: 3 is missing", types.NACK, payloads.encode_number(2)),
        "inventory-empty": _frame(
            "INVENTORY of nothing", types.INVENTORY, payloads.encode_inventory(1, 0, [], last=True)
        ),
        "inventory-part": _frame(
            "INVENTORY, its first part", types.INVENTORY, payloads.encode_inventory(1, 0, holding()[:2], last=False)
        ),
        "inventory-last": _frame(
            "INVENTORY, its last part", types.INVENTORY, payloads.encode_inventory(2, 0, holding()[2:], last=True)
        ),
        "batch-up": _frame(
            "BATCH of one item of each kind that goes up", types.BATCH, payloads.encode_batch(1, 0, up())
        ),
        "batch-pod-request": _frame(
            "BATCH of a pod's request of the API", types.BATCH, payloads.encode_batch(2, 1, [pod_request()])
        ),
        "batch-pod-answer": _frame(
            "BATCH of the answer to a pod's request", types.BATCH, payloads.encode_batch(2, 1, [pod_answer()])
        ),
        "batch-token": _frame(
            "BATCH that asks for a token of a pod's service account",
            types.BATCH,
            payloads.encode_batch(2, 1, [token_request()]),
        ),
        "batch-token-answer": _frame(
            "BATCH of the answer: the token, and the life it was given",
            types.BATCH,
            payloads.encode_batch(2, 1, [token_answer()]),
        ),
        "batch-mirror": _frame(
            "BATCH that asks for the mirror of a static pod",
            types.BATCH,
            payloads.encode_batch(2, 1, [mirror_request()]),
        ),
        "batch-mirror-answer": _frame(
            "BATCH of the answer: the mirror's uid", types.BATCH, payloads.encode_batch(2, 1, [mirror_answer()])
        ),
        "batch-timed": _frame(
            "BATCH whose times are asked for", types.BATCH, payloads.encode_batch(2, 1, up()[2:3], timed=True)
        ),
    }
    for codec in CODECS:
        payload = payloads.encode_batch(1, 0, down())
        name = f"batch-down-{codec.name.lower()}"
        table[name] = _frame(
            f"BATCH of each kind that goes down, codec {int(codec)}", types.BATCH, payload, codec=codec
        )
    decoder = HeartbeatDecoder()
    for number, (measured, body) in enumerate(heartbeats(), 1):
        payload = payloads.encode_volatile(number, body)
        known = _plain(decoder.decode(body))
        table[f"heartbeat-{number}"] = {
            **_frame(f"VOLATILE: heartbeat {number}", types.VOLATILE, payload),
            **measured,
            "known": known,
        }
        if decoder.readings is not None:
            table[f"heartbeat-{number}"]["known_readings"] = _named(dict(decoder.readings))
    return table


def digests() -> list[Json]:
    """Return examples of digests: what goes in, each hash, and the sum."""
    examples_of: list[Json] = []
    for incarnation, entries in (
        (INCARNATION, []),
        (INCARNATION, holding()[:1]),
        (INCARNATION, holding()),
        ("", holding()[:2]),
    ):
        rows = [{**e.key._asdict(), "uid": e.uid, "version": e.version} for e in entries]
        hashes = [Digest(incarnation, [entry]).value.hex() for entry in entries]
        whole = Digest(incarnation, entries)
        examples_of.append({"incarnation": incarnation, "entries": rows, "hashes": hashes, "digest": whole.value.hex()})
    return examples_of


def files() -> dict[str, Any]:
    """Return the content of each generated file by its name."""
    from tests.wire.transcripts import transcripts  # noqa: PLC0415 - it takes names from here

    return {"frames.json": frames(), "digests.json": digests(), "transcripts.json": transcripts()}


def main() -> None:
    """Write the files."""
    for name, content in files().items():
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
