"""Two links over a pipe that loses and repeats frames and breaks, under Hypothesis: the holdings end equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.digest import Digest, difference
from protocol.events import Closed, HelloReceived, InventoryReceived, Received, Settled, WelcomeReceived
from protocol.link import Link, Side, State
from protocol.messages import APPLIED, LATER, InventoryEntry, Item, Op, Outcome, Resume, Verdict
from protocol.objects.keys import ObjectKey, Revision, Uid
from protocol.outbox import Outbox
from protocol.payloads import Grant
from protocol.settings import LinkSettings
from tests.support.examples import trying
from tests.support.links import HELLO, WELCOME, command, delete, put

NAMES = ("a", "b", "c", "d")
SMALL = LinkSettings(max_batch_items=2, batch_bytes=0, window=Grant(5, 2000))

Holding = dict[ObjectKey, tuple[Uid, Revision]]


def inventory(holding: Holding) -> list[InventoryEntry]:
    return [InventoryEntry(key, uid, version) for key, (uid, version) in holding.items()]


class LossyLinks(RuleBasedStateMachine):
    """A cloud with a wanted state, an edge with a durable holding, and a network that does its worst.

    The edge's outbox carries commands and outlives sessions; the cloud's is made anew from digest and inventory.
    """

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.counter = 0
        self.epoch = 0
        self.wanted: Holding = {}
        self.held: Holding = {}
        self.edge_epoch = 0
        self.edge_outbox = Outbox()
        self.commands_sent: set[str] = set()
        self.commands_done: list[str] = []
        self.commands_settled: set[str] = set()
        self.to_edge: list[bytes] = []
        self.to_cloud: list[bytes] = []
        self.connect()

    @rule()
    def connect(self) -> None:
        """Break the connection, losing what is under way, and begin a new session."""
        self.to_edge.clear()
        self.to_cloud.clear()
        self.open_batches: list[tuple[Link, Received]] = []
        self.ready = False
        self.cloud = Link(Side.CLOUD, SMALL, self.rng, now=self.now)
        self.edge = Link(Side.EDGE, SMALL, self.rng, self.edge_outbox, now=self.now)
        digest = Digest("inc", inventory(self.held))
        hello = replace(HELLO, incarnation="inc", epoch=self.edge_epoch, digest=digest.value, count=digest.count)
        self.edge.start(hello, self.now)

    @rule(name=st.sampled_from(NAMES))
    def change(self, name: str) -> None:
        self.counter += 1
        uid = self.wanted.get(put(name).key, (Uid(f"uid-{self.counter}"), 0))[0]
        item = put(name, self.counter, uid=uid)
        self.wanted[item.key] = (item.uid, item.version)
        self._offer(item)

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        gone = self.wanted.pop(put(name).key, None)
        if gone is not None:
            self._offer(delete(name, uid=gone[0]))

    @rule(name=st.sampled_from(NAMES))
    def remake(self, name: str) -> None:
        self.remove(name)
        self.change(name)

    @rule()
    def report(self) -> None:
        self.counter += 1
        self.commands_sent.add(f"c{self.counter}")
        self.edge.send(command(f"c{self.counter}"), self.now)

    @rule(count=st.integers(1, 4), lose=st.booleans(), repeat=st.booleans(), up=st.booleans())
    def carry(self, count: int, lose: bool, repeat: bool, up: bool) -> None:
        """Carry some frames one way; perhaps lose the first, perhaps deliver each twice."""
        self._collect()
        pipe, link = (self.to_cloud, self.cloud) if up else (self.to_edge, self.edge)
        if lose and pipe:
            pipe.pop(0)
        for data in pipe[:count]:
            for _ in range(1 + (repeat and link.state is State.OPEN)):
                link.receive(data, self.now)
        del pipe[:count]
        self._events()

    @rule(later=st.booleans(), newest_first=st.booleans())
    def commit(self, later: bool, newest_first: bool) -> None:
        """Settle the batches that have arrived, some as later, in either order (nothing is applied twice)."""
        batches, self.open_batches = self.open_batches, []
        verdicts = [(link, event, self._apply(link, event, later)) for link, event in batches]
        for link, event, answers in reversed(verdicts) if newest_first else verdicts:
            link.settle(event.batch, answers, self.now)

    @rule(seconds=st.sampled_from([0.02, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.cloud.handle_timer(self.now)
        self.edge.handle_timer(self.now)
        self._events()

    @invariant()
    def consistent(self) -> None:
        self.cloud.check_invariants()
        self.edge.check_invariants()
        assert len(self.commands_done) == len(set(self.commands_done))
        assert self.commands_settled <= set(self.commands_done)

    def teardown(self) -> None:
        """With a network that works again, everything becomes equal within one session."""
        self.connect()
        for _ in range(400):
            self.carry(1000, lose=False, repeat=False, up=True)
            self.carry(1000, lose=False, repeat=False, up=False)
            self.commit(later=False, newest_first=False)
            self.wait(0.02)
            if self.settled():
                break
        assert self.cloud.state is self.edge.state is State.OPEN
        assert self.held == self.wanted
        assert set(self.commands_done) == self.commands_settled == self.commands_sent
        assert len(self.edge_outbox) == len(self.cloud.outbox) == 0
        assert Digest("inc", inventory(self.held)).value == Digest("inc", inventory(self.wanted)).value

    def settled(self) -> bool:
        """Whether nothing is owed any more, after the cloud has compared what the edge holds."""
        return self.ready and not len(self.cloud.outbox) + len(self.edge_outbox) + len(self.to_cloud + self.to_edge)

    def _offer(self, item: Item) -> None:
        if self.ready:
            self.cloud.send(item, self.now)

    def _collect(self) -> None:
        self.to_edge += self.cloud.data_to_send(self.now)
        self.to_cloud += self.edge.data_to_send(self.now)

    def _events(self) -> None:
        for link in (self.cloud, self.edge):
            while (event := link.next_event()) is not None:
                self._handle(link, event)

    def _handle(self, link: Link, event: object) -> None:
        match event:
            case HelloReceived(hello):
                self.epoch += 1
                same = hello.digest == Digest("inc", inventory(self.wanted)).value
                self.ready = same
                resume = Resume.EQUAL if same else Resume.INVENTORY
                self.cloud.welcome(replace(WELCOME, epoch=self.epoch, incarnation="inc", resume=resume), self.now)
            case WelcomeReceived(welcome):
                self.edge_epoch = welcome.epoch
                if welcome.resume is Resume.INVENTORY:
                    self.edge.send_inventory(inventory(self.held), self.now)
            case InventoryReceived(entries):
                self.ready = True
                for item in self._differences(entries):
                    self.cloud.send(item, self.now)
            case Received():
                self.open_batches.append((link, event))
            case Settled(items, verdicts):
                assert all(verdict.outcome is Outcome.APPLIED for verdict in verdicts)
                if link is self.edge:
                    self.commands_settled |= {item.id for item in items}
            case Closed():
                self.open_batches = [pair for pair in self.open_batches if pair[0] is not link]
            case _:
                raise AssertionError(event)

    def _differences(self, entries: Sequence[InventoryEntry]) -> list[Item]:
        to_send, to_delete = difference(entries, self.wanted)
        deletes = [delete(entry.key.name, uid=entry.uid) for entry in to_delete]
        return [*deletes, *(put(key.name, self.wanted[key][1], uid=self.wanted[key][0]) for key in to_send)]

    def _apply(self, link: Link, event: Received, later: bool) -> list[Verdict] | None:
        if link.state is State.CLOSED:
            return None
        verdicts = []
        for item in event.items:
            put_off = later and self.rng.random() < 0.3
            verdicts.append(LATER if put_off else APPLIED)
            if not put_off:
                self._apply_item(item)
        return verdicts

    def _apply_item(self, item: Item) -> None:
        if item.op is Op.COMMAND:
            if item.id not in self.commands_done:  # the receiver's ledger of settled ids
                self.commands_done.append(item.id)
        elif item.op is Op.PUT:
            self.held[item.key] = (item.uid, item.version)
        elif self.held.get(item.key, ("", 0))[0] == item.uid:
            del self.held[item.key]


TestLossyLinks = LossyLinks.TestCase
TestLossyLinks.settings = trying(40, stateful_step_count=50)
