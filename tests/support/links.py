"""Two links joined in memory, without a loop: transfer what one has to send to the other, event by event."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from protocol.events import Event, HelloReceived, Received, WelcomeReceived
from protocol.link import Link, Side
from protocol.messages import Hello, Item, Op, Resume, Welcome
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.outbox import Outbox
from protocol.settings import LinkSettings

E = TypeVar("E")

HELLO = Hello(NodeName("edge-1"), "instance-1", incarnation="inc-1", epoch=6, digest=bytes(16), count=0)
WELCOME = Welcome(epoch=7, incarnation="inc-1", resume=Resume.EQUAL)


def put(name: str, version: int = 1, *, uid: str = "", body: bytes = b"\x80", resource: str = "pods") -> Item:
    """Return a put of pod ``name``."""
    return Item(Op.PUT, ObjectKey(resource, "default", name), Uid(uid or f"uid-{name}"), Revision(version), body)


def delete(name: str, version: int = 1, *, uid: str = "", resource: str = "pods") -> Item:
    """Return a delete of pod ``name``."""
    return Item(Op.DELETE, ObjectKey(resource, "default", name), Uid(uid or f"uid-{name}"), Revision(version))


def command(ident: str, body: bytes = b"\x80") -> Item:
    """Return a command."""
    return Item(Op.COMMAND, ObjectKey("events", "default", "e"), Uid(""), Revision(0), body, ident)


def drain(link: Link) -> list[Event]:
    """Return all events of ``link``."""
    events = []
    while (event := link.next_event()) is not None:
        events.append(event)
    return events


def only(link: Link, kind: type[E]) -> E:
    """Return the single event of ``link``, which must be of ``kind``."""
    events = drain(link)
    assert len(events) == 1, events
    assert isinstance(events[0], kind), events
    return events[0]


def output(link: Link, now: float) -> list[bytes]:
    """Return everything that ``link`` wants to send."""
    frames: list[bytes] = []
    while batch := link.data_to_send(now):
        frames += batch
    return frames


def transfer(sender: Link, receiver: Link, now: float) -> int:
    """Carry everything that ``sender`` has to send over to ``receiver``; returns the number of frames."""
    frames = output(sender, now)
    for frame in frames:
        receiver.receive(frame, now)
    return len(frames)


def exchange(one: Link, other: Link, now: float) -> None:
    """Transfer both ways until neither has anything to send."""
    while transfer(one, other, now) + transfer(other, one, now):
        pass


def settle_all(link: Link, now: float) -> list[Item]:
    """Settle everything received as applied, and return the items."""
    items: list[Item] = []
    for event in drain(link):
        if isinstance(event, Received):
            items += event.items
            link.settle(event.batch, None, now)
    return items


def link_pair(
    *,
    seed: int = 1,
    now: float = 0.0,
    cloud: LinkSettings | None = None,
    edge: LinkSettings | None = None,
    cloud_outbox: Outbox | None = None,
    edge_outbox: Outbox | None = None,
    welcome: Welcome = WELCOME,
) -> tuple[Link, Link]:
    """Return a cloud link and an edge link with an open session between them; only what outboxes held has moved."""
    rng = Random(seed)
    up = Link(Side.CLOUD, cloud or LinkSettings(), rng, cloud_outbox, now=now)
    down = Link(Side.EDGE, edge or LinkSettings(), rng, edge_outbox, now=now)
    down.start(HELLO, now)
    transfer(down, up, now)
    assert only(up, HelloReceived).hello == HELLO
    up.welcome(welcome, now)
    for frame in up.data_to_send(now):
        down.receive(frame, now)
    assert down.next_event() == WelcomeReceived(welcome)
    return up, down
