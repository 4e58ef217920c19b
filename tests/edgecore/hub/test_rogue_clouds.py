"""A cloud with bad manners: the session ends with a code, and the edge holds what it held and takes the next cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import msgpack
import pytest

from edgecore.hub.session import Ending, Introduction, Session, Vitals
from edgecore.meta.memory import MemoryDisk, MemoryEngine
from edgecore.meta.store import MetaStore
from protocol import payloads
from protocol.compression import Codec, compress
from protocol.errors import ConnectionClosed
from protocol.flood import BURST
from protocol.frames import MAX_FRAME_BYTES, CloseCode, FrameType, decode_frame, encode_frame
from protocol.heartbeat import Load
from protocol.messages import Item, Welcome
from protocol.objects.keys import NodeName, Revision
from protocol.payloads import Ack, Grant, Offer
from protocol.transports.memory import memory_pair
from tests.support.slices import delete, put
from tests.support.waiting import aeventually

pytestmark = pytest.mark.looptime

WHO = Introduction(NodeName("edge-1"), "instance-1", "9.9")
EPOCH = 9
OFFER = Offer(Grant(64, 1 << 16), frozenset(Codec))


def frame(kind: FrameType, payload: bytes, epoch: int = EPOCH) -> bytes:
    return encode_frame(kind, epoch, payload)


def welcome(said: Welcome | None = None) -> bytes:
    return frame(FrameType.WELCOME, payloads.encode_welcome(said or Welcome(EPOCH, "inc-1"), OFFER))


def batch(*items: Item, sequence: int = 1, confirmed: int = 0) -> bytes:
    return frame(FrameType.BATCH, payloads.encode_batch(sequence, confirmed, items))


def bomb(codec: Codec) -> bytes:
    header = bytes([codec << 6 | FrameType.BATCH]) + EPOCH.to_bytes(4, "big")
    return header + compress(codec, bytes(MAX_FRAME_BYTES + 1))


HUGE = put("web", 6)._replace(version=Revision(1 << 63))

RUDE: dict[str, tuple[Callable[[], list[bytes]], CloseCode]] = {
    "garbage": (lambda: [b"\xff" * 100], CloseCode.UNKNOWN_FRAME_TYPE),
    "a batch before the welcome": (lambda: [batch(put("a", 6))], CloseCode.UNEXPECTED_FRAME),
    "an old epoch": (lambda: [welcome(Welcome(3, "inc-1"))], CloseCode.STALE_EPOCH),
    "an epoch no disk holds": (lambda: [welcome(Welcome(1 << 63, "inc-1"))], CloseCode.MALFORMED_FRAME),
    "heartbeats without pause": (lambda: [welcome(Welcome(EPOCH, "i", heartbeat_s=1e-9))], CloseCode.MALFORMED_FRAME),
    "heartbeats never": (lambda: [welcome(Welcome(EPOCH, "i", heartbeat_s=1e300))], CloseCode.MALFORMED_FRAME),
    "a second welcome": (lambda: [welcome(), welcome()], CloseCode.UNEXPECTED_FRAME),
    "an inventory": (
        lambda: [welcome(), frame(FrameType.INVENTORY, payloads.encode_inventory(1, 0, [], last=True))],
        CloseCode.UNEXPECTED_FRAME,
    ),
    "a version no disk holds": (lambda: [welcome(), batch(HUGE)], CloseCode.MALFORMED_FRAME),
    "an ack of the future": (
        lambda: [welcome(), frame(FrameType.ACK, payloads.encode_ack(Ack(9, 9)))],
        CloseCode.BAD_ACK,
    ),
    "a confirmation of the future": (lambda: [welcome(), batch(put("a", 6), confirmed=5)], CloseCode.BAD_ACK),
    "a frame of another session": (
        lambda: [welcome(), frame(FrameType.PING, payloads.encode_number(1), EPOCH - 1)],
        CloseCode.STALE_EPOCH,
    ),
    "more than the window": (
        lambda: [
            welcome(),
            *(batch(*(delete(f"{n}-{each}") for each in range(1024)), sequence=n) for n in range(1, 6)),
        ],
        CloseCode.WINDOW_EXCEEDED,
    ),
    "pings without end": (
        lambda: [welcome(), *[frame(FrameType.PING, payloads.encode_number(1))] * (int(BURST) + 1)],
        CloseCode.FLOOD,
    ),
}


def bombs(codec: Codec) -> Callable[[], list[bytes]]:
    return lambda: [welcome(), bomb(codec)]


RUDE |= {f"a bomb of {codec.name}": (bombs(codec), CloseCode.DECOMPRESSION_FAILED) for codec in Codec if codec}


async def play(store: MetaStore, frames: list[bytes]) -> Ending:
    """Let a session take ``frames`` from its cloud, which reads what it is told and answers nothing."""
    cloud, edge = memory_pair(Random(1))
    session = Session(edge, store, WHO, vitals=Vitals(Load), rng=Random(2))
    running = asyncio.ensure_future(session.run())
    await cloud.receive()
    await cloud.send(frames)
    try:
        while True:
            await cloud.receive()
    except ConnectionClosed:
        return await running


async def holding() -> MetaStore:
    """Return a store that holds two pods of an earlier session."""
    store = MetaStore(MemoryEngine(MemoryDisk()), WHO.node)
    await store.begin_session(5, "inc-1", equal=True)
    await store.apply([put("web", 5), put("db", 5)], 5)
    return store


def pods_of(store: MetaStore) -> set[str]:
    return {held.key.name for held in store.list("pods")}


@pytest.mark.parametrize("how", RUDE)
async def test_a_rude_cloud_is_left_with_a_code_and_nothing_is_lost(how: str) -> None:
    make, code = RUDE[how]
    store = await holding()
    ending = await play(store, make())
    assert ending.code == code
    assert {"web", "db"} <= pods_of(store)
    assert store.complete
    polite = [
        frame(FrameType.WELCOME, payloads.encode_welcome(Welcome(EPOCH + 1, "inc-1"), OFFER), EPOCH + 1),
        frame(FrameType.BATCH, payloads.encode_batch(1, 0, [put("new", 70)]), EPOCH + 1),
    ]
    task = asyncio.ensure_future(play(store, polite))
    await aeventually(lambda: "new" in pods_of(store))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_bodies_that_are_none_are_rejected_one_by_one() -> None:
    store = await holding()
    other = msgpack.packb({"metadata": {"name": "another", "namespace": "default", "uid": "u"}})
    items = [put("web", 9)._replace(body=body) for body in (b"", b"\xc1", b"\x81\x80\xc0", b"\x91" * 2000, other)]
    cloud, edge = memory_pair(Random(1))
    running = asyncio.ensure_future(Session(edge, store, WHO, vitals=Vitals(Load), rng=Random(2)).run())
    await cloud.receive()
    await cloud.send([welcome(), batch(*items)])
    while True:
        data = await cloud.receive()
        if data[0] & 0x3F == FrameType.ACK:
            break
    ack = payloads.decode_ack(decode_frame(data).payload)
    assert [verdict.code for _, _, verdict in ack.exceptions] == ["Undecodable"] * len(items)
    assert pods_of(store) == {"web", "db"}
    await cloud.close()
    await running
