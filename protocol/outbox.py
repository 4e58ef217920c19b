"""What one side owes the other: newest version per object, in priority lanes.

Contract:

- The key is the object. An entry is one ordered chain: a newer put replaces the pending one, a delete replaces the
  pending put of its uid, and a new uid waits behind the deletes of earlier ones. A delete never touches another uid.
- Call order is truth. The owner sends a delete for each uid that ends; versions are not compared (they have no
  order across incarnations).
- One item of a key is in flight at a time, so lanes and ``later`` verdicts cannot reorder a key.
- Size: one entry per object, so the number of objects bounds it. Commands have no newer version: their number is
  bounded, and the next one is refused (:class:`~protocol.errors.OutboxFull`); nothing accepted is dropped.
- The outbox outlives a session on the edge. :meth:`Outbox.attach` hands it to a new one: what was in flight
  is pending again, and the generation it returns tells an older session that it has lost the outbox.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from protocol.errors import OutboxFull
from protocol.messages import Item, Lane, Op
from protocol.objects.keys import ObjectKey

ITEM_OVERHEAD_BYTES = 128
"""What an item weighs beside its body, in windows and batches. Both sides must use the same number."""

MAX_CHAIN_DELETES = 8
"""Pending deletes per key. The receiver holds at most one uid under a key: either one that the oldest pending
delete names, or a recent one. Beyond the bound the second oldest goes; the digest at resume would catch a loss."""

DEFAULT_MAX_COMMANDS = 4096

_DEFAULT_LANES = (Lane.SPEC, Lane.DELETE, Lane.BULK)  # indexed by Op
_NO_LANE = -1
_COMMAND = Op.COMMAND
_STALE_SLACK = 64

Pending = tuple[Item, Lane]
OutboxKey = ObjectKey | str


class Entry:
    """What is owed for one key: the item in flight, the next one, and those chained behind it.

    It is in exactly one state: queued (``lane`` ≥ 0), in flight (``sent`` is set), or deferred (neither).
    """

    __slots__ = ("attempts", "chain", "item", "item_lane", "key", "lane", "pending_since", "sent", "sent_lane", "since")

    def __init__(self, key: OutboxKey, item: Item, lane: Lane, now: float) -> None:
        self.key = key
        self.item: Item | None = item
        self.item_lane = lane
        self.chain: list[Pending] | None = None
        self.lane: int = lane
        self.sent: Item | None = None
        self.sent_lane = lane
        self.since = now
        self.pending_since = now
        self.attempts = 0

    def pending(self) -> list[Pending]:
        """Return the chain of items not in flight, in order."""
        if self.item is None:
            return []
        return [(self.item, self.item_lane), *(self.chain or ())]

    def set_pending(self, chain: list[Pending]) -> None:
        """Replace the chain of items not in flight; it holds at least one."""
        (self.item, self.item_lane), *rest = chain
        self.chain = rest or None


class Outbox:
    """A bounded, coalescing priority queue of items. Times are seconds on the owner's monotonic clock.

    Args:
        max_commands: How many commands may wait at once.
    """

    __slots__ = (
        "_commands",
        "_deferred",
        "_depths",
        "_entries",
        "_lanes",
        "_max_commands",
        "_ticket",
        "generation",
        "queued_bytes",
    )

    def __init__(self, max_commands: int = DEFAULT_MAX_COMMANDS) -> None:
        self._entries: dict[OutboxKey, Entry] = {}
        # A deque per lane, made on first use: an idle node's outbox must cost next to nothing. An entry that
        # became more urgent leaves a stale place behind; it is recognised by the entry's own lane.
        self._lanes: list[deque[Entry] | None] = [None] * len(Lane)
        self._depths = [0] * len(Lane)
        self._deferred: list[tuple[float, int, Entry]] = []
        self._ticket = 0
        self._commands = 0
        self._max_commands = max_commands
        self.generation = 0
        self.queued_bytes = 0

    def __len__(self) -> int:
        """Return the number of keys that something is owed for, in flight included."""
        return len(self._entries)

    def put(self, item: Item, now: float, lane: Lane | None = None) -> None:
        """Add an item, replacing what it supersedes.

        Args:
            item: A change or a command; a command whose id is here already is the same command.
            now: The time, for the age of what waits.
            lane: Its priority; by default spec for puts, delete for deletes, bulk for commands.

        Raises:
            OutboxFull: It is a command and too many wait; nothing was added.
        """
        op = item[0]
        key: OutboxKey = item[1]
        if lane is None:
            lane = _DEFAULT_LANES[op]
        if op == _COMMAND:
            key = self._admit(item)
        new = Entry(key, item, lane, now)
        entry = self._entries.setdefault(key, new)  # hashes the key once, where a look and a store would do so twice
        if entry is new:
            # What _enqueue does, in place: this is the hottest line of a busy cloud.
            queue = self._lanes[lane]
            if queue is None:
                queue = self._lanes[lane] = deque()
            queue.append(entry)
            self._depths[lane] += 1
            self.queued_bytes += len(item[4]) + ITEM_OVERHEAD_BYTES
        elif op != _COMMAND:
            self._merge(entry, item, lane, now)

    def take(self, max_items: int, max_bytes: int, lanes: int = len(Lane)) -> list[Entry]:
        """Move the most urgent entries in flight and return them; ``sent`` is the item to transmit.

        At least one is returned where any is queued, even if it alone weighs more than ``max_bytes``.

        Args:
            max_items: At most so many.
            max_bytes: And of so much weight together, bytes.
            lanes: Only from so many lanes, the most urgent first.
        """
        taken: list[Entry] = []
        for lane, queue in enumerate(self._lanes[:lanes]):
            if queue:
                room = self._take_from(queue, lane, taken, max_items, max_bytes)
                if not queue:
                    self._lanes[lane] = None  # an empty deque holds on to 0.7 KB, and most lanes are empty mostly
                if room <= 0:
                    break
                max_bytes = room
        return taken

    def applied(self, entries: Iterable[Entry]) -> None:
        """Forget the items in flight of ``entries``; what waits behind them is queued."""
        owed = self._entries
        for entry in entries:
            del owed[entry.key]
            if entry.item is not None:
                owed[entry.key] = entry  # to the end: the dict stays in order of age
                entry.sent = None
                entry.since = entry.pending_since
                entry.attempts = 0
                self._enqueue(entry, _urgency(entry))
            elif type(entry.key) is str:
                self._commands -= 1

    def defer(self, entry: Entry, until: float) -> None:
        """Take the item in flight of ``entry`` back and queue it at ``until``, unless superseded meanwhile."""
        self._take_back(entry)
        entry.attempts += 1
        self._ticket += 1
        heapq.heappush(self._deferred, (until, self._ticket, entry))

    def next_wake(self) -> float | None:
        """Return when the next deferred entry is due."""
        return self._deferred[0][0] if self._deferred else None

    def wake(self, now: float) -> None:
        """Queue the deferred entries that are due."""
        while self._deferred and self._deferred[0][0] <= now:
            entry = heapq.heappop(self._deferred)[2]
            self._enqueue(entry, _urgency(entry))

    def attach(self) -> int:
        """Begin a new session: everything owed is queued again, oldest first. Returns the session's generation."""
        self.generation += 1
        self._deferred.clear()
        self._lanes = [None] * len(Lane)
        self._depths = [0] * len(Lane)
        self.queued_bytes = 0
        for entry in self._entries.values():
            entry.lane = _NO_LANE
            entry.attempts = 0
            if entry.sent is not None:
                self._take_back(entry)
            self._enqueue(entry, _urgency(entry))
        return self.generation

    @property
    def queued_items(self) -> int:
        """How many keys have an item that may go now (those in flight or deferred do not count)."""
        return sum(self._depths)

    def depth(self, lane: Lane) -> int:
        """Return how many entries are queued in ``lane`` (not those in flight or deferred)."""
        return self._depths[lane]

    def entries(self) -> Iterator[Entry]:
        """Yield what is owed, key by key, longest owed first; to be read only."""
        return iter(self._entries.values())

    def due(self) -> dict[OutboxKey, float]:
        """Return when each deferred entry is queued again."""
        return {entry.key: until for until, _, entry in self._deferred}

    def oldest_queued(self, lane: Lane) -> float | None:
        """Return since when the entry at the head of ``lane`` has been owed; None where none is queued."""
        if self._depths[lane]:
            for entry in self._lanes[lane] or ():
                if entry.lane == lane:
                    return entry.since
        return None

    def oldest_since(self) -> float | None:
        """Return since when the longest unsettled key has been owed something; None when nothing is owed."""
        for entry in self._entries.values():
            return entry.since
        return None

    def items(self) -> Iterator[Item]:
        """Yield every item owed, in flight ones included, key by key in chain order."""
        for entry in self._entries.values():
            if entry.sent is not None:
                yield entry.sent
            yield from (item for item, _ in entry.pending())

    def check_invariants(self) -> None:
        """Assert what must always hold; called by tests."""
        queued = [entry for entry in self._entries.values() if entry.lane != _NO_LANE]
        for entry in queued:
            assert entry.item is not None
            assert entry.sent is None
            assert entry.lane == _urgency(entry)
            assert (self._lanes[entry.lane] or deque()).count(entry) >= 1
        assert self.queued_items == len(queued)
        assert self.queued_bytes == sum(weight_of(entry.item) for entry in queued if entry.item is not None)
        assert self._commands == sum(type(key) is str for key in self._entries)
        for entry in self._entries.values():
            uids = [item.uid for item, _ in entry.pending()]
            assert len(set(uids)) == len(uids)
            assert sum(item.op == Op.PUT for item, _ in entry.pending()) <= 1
        for lane, queue in enumerate(self._lanes):
            assert len(queue or ()) <= 2 * self._depths[lane] + _STALE_SLACK

    def _admit(self, command: Item) -> str:
        if command.id not in self._entries:
            if self._commands >= self._max_commands:
                raise OutboxFull(f"{self._commands} commands are waiting for the peer")
            self._commands += 1
        return command.id

    def _take_from(self, queue: deque[Entry], lane: int, taken: list[Entry], max_items: int, max_bytes: int) -> int:
        """Move entries of one lane in flight; return the bytes left, 0 where the batch is full."""
        room = max_bytes
        before = count = len(taken)
        full = False
        while queue:
            entry = queue.popleft()
            if entry.lane != lane:
                continue
            item = entry.item
            assert item is not None
            size = len(item[4]) + ITEM_OVERHEAD_BYTES
            if count and (size > room or count >= max_items):
                queue.appendleft(entry)
                full = True
                break
            room -= size
            count += 1
            entry.lane = _NO_LANE
            entry.sent = item
            entry.sent_lane = entry.item_lane
            if entry.chain is None:
                entry.item = None
            else:
                entry.set_pending(entry.chain)
            taken.append(entry)
        self._depths[lane] -= count - before
        self.queued_bytes -= max_bytes - room
        return 0 if full else room

    def _merge(self, entry: Entry, item: Item, lane: Lane, now: float) -> None:
        if entry.item is None:
            if entry.sent is not None and entry.sent.op == item.op == Op.DELETE and entry.sent.uid == item.uid:
                return
            entry.pending_since = now
        queued = entry.lane != _NO_LANE
        if queued:
            self._dequeue(entry)
        before = entry.lane
        entry.set_pending(chain_with(entry.pending(), item, lane))
        if queued:
            self._requeue_in_place(entry, before)

    def _enqueue(self, entry: Entry, lane: int) -> None:
        queue = self._lanes[lane]
        if queue is None:
            queue = self._lanes[lane] = deque()
        queue.append(entry)
        self._count_in(entry, lane)

    def _count_in(self, entry: Entry, lane: int) -> None:
        assert entry.item is not None
        entry.lane = lane
        self._depths[lane] += 1
        self.queued_bytes += len(entry.item.body) + ITEM_OVERHEAD_BYTES

    def _dequeue(self, entry: Entry) -> None:
        """Uncount a queued entry; its place in the lane's deque stays."""
        assert entry.item is not None
        self._depths[entry.lane] -= 1
        self.queued_bytes -= len(entry.item.body) + ITEM_OVERHEAD_BYTES

    def _requeue_in_place(self, entry: Entry, before: int) -> None:
        lane = _urgency(entry)
        if lane == before:
            self._count_in(entry, lane)
        else:
            self._enqueue(entry, lane)
            stale = self._lanes[before]
            if stale is not None and len(stale) > 2 * self._depths[before] + _STALE_SLACK:
                # One pass over n places after n/2 of them went stale: constant time per put.
                self._lanes[before] = deque(dict.fromkeys(place for place in stale if place.lane == before))

    def _take_back(self, entry: Entry) -> None:
        sent = entry.sent
        assert sent is not None
        entry.sent = None
        entry.set_pending(chain_behind(sent, entry.sent_lane, entry.pending()))


def weight_of(item: Item) -> int:
    """Return what an item counts for in windows and batches, bytes."""
    return len(item.body) + ITEM_OVERHEAD_BYTES


def chain_with(chain: Sequence[Pending], item: Item, lane: Lane) -> list[Pending]:
    """Return ``chain`` after ``item``, a put or delete of the same key.

    Each uid appears once and at most one put remains: the newest.
    """
    if item.op == Op.PUT:
        if any(old.op == Op.PUT and old.uid == item.uid for old, _ in chain):
            return [(item, lane) if old.op == Op.PUT else (old, kept) for old, kept in chain]
        deletes = [(old, kept) for old, kept in chain if old.op == Op.DELETE and old.uid != item.uid]
        return [*deletes, (item, lane)]
    if any(old.uid == item.uid for old, _ in chain):
        return [(item, lane) if old.uid == item.uid else (old, kept) for old, kept in chain]
    return _bounded([*chain, (item, lane)])


def chain_behind(sent: Item, lane: Lane, chain: list[Pending]) -> list[Pending]:
    """Return ``chain`` with ``sent``, which came back unsettled, in front unless the chain supersedes it."""
    superseded = any(newer.uid == sent.uid or (sent.op == Op.PUT and newer.op == Op.PUT) for newer, _ in chain)
    return chain if superseded else _bounded([(sent, lane), *chain])


def _bounded(chain: list[Pending]) -> list[Pending]:
    deletes = [index for index, (item, _) in enumerate(chain) if item.op == Op.DELETE]
    if len(deletes) > MAX_CHAIN_DELETES:
        del chain[deletes[1]]
    return chain


def _urgency(entry: Entry) -> int:
    lane = entry.item_lane
    if entry.chain is not None:
        return min(lane, *(lane for _, lane in entry.chain))
    return lane
