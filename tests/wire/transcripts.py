"""Whole sessions as transcripts: who sends which frame, when, and why; made by playing two links against each other."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from protocol.compression import Codec
from protocol.digest import Digest
from protocol.events import Received
from protocol.frames import CloseCode
from protocol.link import Link, Side
from protocol.messages import APPLIED, LATER, Hello, Item, Op, Resume, Verdict, Welcome
from protocol.objects.keys import Revision
from protocol.settings import LinkSettings
from tests.support.links import drain
from tests.wire.generate import EPOCH, INCARNATION, INSTANCE, NODE, down, heartbeats, holding, up

Json = dict[str, Any]

SETTINGS: Final = LinkSettings(codec=Codec.NONE)


class Play:
    """Two links and a record of what went between them."""

    def __init__(self, hello: Hello) -> None:
        self.now = 0.0
        self.steps: list[Json] = []
        self.edge = Link(Side.EDGE, SETTINGS, Random(1), now=0.0)
        self.cloud = Link(Side.CLOUD, SETTINGS, Random(2), now=0.0)
        self.received: dict[Side, list[Received]] = {Side.EDGE: [], Side.CLOUD: []}
        self.edge.start(hello, 0.0)

    def note(self, who: str, what: str) -> None:
        """Record something that one side does without a frame."""
        self.steps.append({"at_s": round(self.now, 3), "who": who, "does": what})

    def run(self, *, lose: str = "") -> None:
        """Carry frames until none is left; ``lose`` names a side whose frames get lost this time."""
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((self.edge, self.cloud), (self.cloud, self.edge)):
                for frame in sender.data_to_send(self.now):
                    moved = True
                    step = {"at_s": round(self.now, 3), "who": sender.side.value, "sends": frame.hex()}
                    lost = lose == sender.side.value
                    self.steps.append({**step, "lost": True} if lost else step)
                    if not lost:
                        receiver.receive(frame, self.now)
                        self.received[receiver.side] += [e for e in drain(receiver) if isinstance(e, Received)]

    def settle(self, link: Link, answers: list[Verdict] | None = None) -> None:
        """Settle the oldest batch that ``link`` received."""
        batch = self.received[link.side].pop(0)
        self.note(link.side.value, f"commits batch {batch.batch}")
        link.settle(batch.batch, answers, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for link in (self.edge, self.cloud):
            link.handle_timer(self.now)


def _first() -> list[Json]:
    play = Play(Hello(NODE, INSTANCE, agent_version="0.1.0"))
    play.run()
    play.note("cloud", "checks certificate, instance and revocation; stores the epoch")
    play.cloud.welcome(Welcome(EPOCH, INCARNATION, Resume.INVENTORY), play.now)
    play.run()
    play.note("edge", "stores epoch and incarnation")
    play.edge.send_inventory([], play.now)
    play.edge.send_volatile(heartbeats()[0][1], play.now)
    play.run()
    for item in down():
        play.cloud.send(item, play.now)
    play.run()
    play.settle(play.edge)
    play.run()
    for item in up()[:2]:
        play.edge.send(item, play.now)
    play.run()
    play.settle(play.cloud)
    play.run()
    play.wait(10.0)
    play.edge.send_volatile(heartbeats()[1][1], play.now)
    play.run()
    play.edge.close(CloseCode.GOING_AWAY, "the agent stops", play.now)
    play.run()
    return play.steps


def _again() -> Play:
    digest = Digest(INCARNATION, holding())
    play = Play(Hello(NODE, INSTANCE, INCARNATION, EPOCH - 1, digest.value, digest.count, "0.1.0"))
    play.run()
    play.cloud.welcome(Welcome(EPOCH, INCARNATION), play.now)
    play.run()
    play.note("edge", "stores the epoch")
    return play


def _verdicts() -> list[Json]:
    play = _again()
    web, _, settings = down()[:3]
    play.cloud.send(web._replace(version=Revision(web.version + 100)), play.now)
    play.cloud.send(settings._replace(version=Revision(settings.version + 100), body=b"\xc1"), play.now)
    play.run()
    play.settle(play.edge, [LATER, Verdict.rejected("Undecodable", "body is not msgpack")])
    play.run()
    play.wait(2.0)
    play.run()
    play.settle(play.edge, [APPLIED])
    play.run()
    return play.steps


def _loss() -> list[Json]:
    play = _again()
    event = up()[3]
    play.edge.send(event, play.now)
    play.note("edge", "sends batch 1, which is lost")
    play.run(lose="edge")
    play.edge.send(Item(Op.DELETE, up()[2].key, up()[2].uid, up()[2].version), play.now)
    play.run()
    play.wait(0.03)  # it lingers, as another is in flight
    play.run()
    play.note("cloud", "has asked for batch 1 again: both came, each once")
    play.settle(play.cloud)
    play.settle(play.cloud)
    play.run()
    return play.steps


def _refused() -> list[Json]:
    play = Play(Hello(NODE, INSTANCE))
    play.run()
    play.cloud.refuse(CloseCode.REVOKED, "node edge-1 has joined again with another certificate", play.now)
    play.run()
    return play.steps


def transcripts() -> dict[str, Json]:
    """Return the transcripts by name."""
    return {
        "first-session": {
            "about": "A new node: inventory of nothing, its slice, reports, heartbeats, goodbye",
            "steps": _first(),
        },
        "verdicts": {
            "about": "Equal digests; one item is put off and offered again, one is rejected",
            "steps": _verdicts(),
        },
        "loss": {"about": "A frame is lost; the one behind it makes the receiver ask for it", "steps": _loss()},
        "refused": {"about": "The certificate has been superseded", "steps": _refused()},
    }
