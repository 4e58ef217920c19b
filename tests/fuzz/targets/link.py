"""A whole link, either end, in each state, fed one call after another by a peer of the worst kind. Nothing may come.

The first byte chooses the end and how far the session has come. Then calls follow: a byte chooses one, two give its
size, and what follows is its content: a frame as it is, a payload under a proper header, or time that passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random
from typing import Final

from protocol import payloads
from protocol.compression import Codec
from protocol.events import InventoryReceived, Received
from protocol.frames import MAX_FRAME_BYTES, FrameType, encode_frame
from protocol.link import Link, Side, State
from protocol.messages import APPLIED, LATER, InventoryEntry, Verdict, Welcome
from protocol.outbox import Outbox
from protocol.payloads import Ack, Grant, Offer
from protocol.settings import LinkSettings
from tests.fuzz.bounds import at_most
from tests.fuzz.targets import frames
from tests.support.links import HELLO, WELCOME, command, delete, put

FACTOR: Final = 256
"""A byte that a peer sends costs at most this much while it is unsettled."""
OFFER: Final = Offer(Grant(64, 1 << 16), frozenset(Codec))
SETTINGS: Final = LinkSettings(window=Grant(64, 1 << 16), max_inventory=500)
TYPES: Final = tuple(FrameType)
CALLS: Final = 64
RAW, TIME, SETTLE, GRANT = 40, 41, 42, 43
PENDING: Final = 100
"""What the owner owes the peer in the course of one input."""


def one_input(data: bytes) -> None:
    """Play ``data`` against a link; it may end the session and nothing else."""
    if not data:
        return
    link = prepared(data[0])
    with at_most(len(data), FACTOR, floor_bytes=2 * MAX_FRAME_BYTES):
        play(link, data[1:])
    link.connection_lost(1006, "over")
    link.check_invariants()


def prepared(how: int) -> Link:
    """Return a link of one end, in one state, with or without something owed and under way."""
    side = Side.EDGE if how & 1 else Side.CLOUD
    link = Link(side, SETTINGS, Random(1), Outbox(max_commands=PENDING), now=0.0)
    state = (State.NEW, State.GREETED, State.OPEN, State.OPEN)[how >> 1 & 3]
    if how & 8:
        for item in (put("a"), delete("b"), command("c"), put("d", body=bytes(1000))):
            link.send(item, 0.0)
    if state is State.NEW:
        return link
    if side is Side.EDGE:
        link.start(HELLO, 0.0)
        if state is State.OPEN:
            link.receive(encode_frame(FrameType.WELCOME, 7, payloads.encode_welcome(WELCOME, OFFER)), 0.0)
            if how & 16:
                link.send_inventory([InventoryEntry(put("a").key, put("a").uid, put("a").version)], 0.0)
    else:
        link.receive(encode_frame(FrameType.HELLO, 0, payloads.encode_hello(HELLO, OFFER)), 0.0)
        if state is State.OPEN:
            link.welcome(Welcome(7, "inc-1"), 0.0)
    return link


def calls(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield which call and its content."""
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + size]
        at += 3 + size


def play(link: Link, data: bytes) -> None:
    """Make the calls, and after each what a driver and an owner do."""
    now = 0.0
    waiting: list[Received] = []
    for call, content in islice(calls(data), CALLS):
        if call == TIME:
            now += int.from_bytes(content[:2], "big") / 1000
            link.handle_timer(now)
        elif call == SETTLE:
            settle(link, waiting, content, now)
        elif call == GRANT and link.state is State.OPEN:
            link.grant(Grant(len(content) % 64, len(content) << 8), now)
        else:
            link.receive(frame_of(call, content, link.epoch), now)
        while link.data_to_send(now):
            pass
        while (event := link.next_event()) is not None:
            if isinstance(event, Received):
                waiting.append(event)
            assert not isinstance(event, InventoryReceived) or len(event.entries) <= SETTINGS.max_inventory
        link.check_invariants()
        link.next_timer()
        assert link.unsettled <= SETTINGS.window.items


def frame_of(call: int, content: bytes, epoch: int) -> bytes:
    """Return the content as a frame, or under a header that fits the session."""
    if call % 64 == RAW:
        return content
    codec = Codec.NONE if call < 64 else Codec.ZSTD if call < 128 else Codec.SNAPPY
    return encode_frame(TYPES[call % len(TYPES)], epoch, content, codec)


def settle(link: Link, waiting: list[Received], content: bytes, now: float) -> None:
    """Settle the oldest batch, each item as the content says."""
    if not waiting or link.state is not State.OPEN:
        return
    batch = waiting.pop(0)
    answers = (APPLIED, LATER, Verdict.rejected("Invalid", "no" * 200))
    verdicts = [answers[each % 3] for each in content.ljust(len(batch.items), b"\0")[: len(batch.items)]]
    link.settle(batch.batch, verdicts, now)


def call(kind: int, content: bytes = b"") -> bytes:
    """Return one call as bytes."""
    return bytes([kind]) + len(content).to_bytes(2, "big") + content


def seeds() -> Iterable[bytes]:
    """Return the golden frames in each state, and a few sessions as they should be."""
    golden = b"".join(call(RAW, frame) for frame in frames.seeds())
    yield from (bytes([how]) + golden for how in range(32))
    batch = encode_frame(FrameType.BATCH, 7, payloads.encode_batch(1, 0, [put("a"), command("b")]))
    ack = encode_frame(FrameType.ACK, 7, payloads.encode_ack(Ack(1, 1)))
    later = encode_frame(FrameType.ACK, 7, payloads.encode_ack(Ack(1, 1, ((1, 0, LATER),))))
    nack = encode_frame(FrameType.NACK, 7, payloads.encode_number(0))
    for how in (4, 5, 12, 13, 28, 29):
        yield bytes([how]) + call(RAW, batch) + call(SETTLE, b"\0\1") + call(RAW, ack) + call(TIME, b"\xff\xff")
        yield bytes([how]) + call(RAW, nack) + call(RAW, later) + call(TIME, b"\x20\0") + call(RAW, ack)
