"""The work queue: keys waiting to be worked on, each at most once, each by one worker at a time. Sans-IO.

:class:`~cloudcore.informers.asyncqueue.AsyncWorkQueue` puts it on the event loop. The queue is a
map keyed by object: it coalesces, and its bound is the number of distinct keys, that is of objects. Nothing is ever
dropped from it. Adding a key that is being worked on queues it again for when its worker is done.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class QueueCounters:
    """What a queue has seen; plain numbers for metrics.

    Attributes:
        added: Keys that became ready, duplicates not counted.
        retried: Retries asked for.
        taken: Keys handed to workers.
        waited_s: Seconds all taken keys together were ready before they were taken.
        worst_wait_s: The longest of these waits.
    """

    added: int = 0
    retried: int = 0
    taken: int = 0
    waited_s: float = 0.0
    worst_wait_s: float = 0.0


class WorkQueue(Generic[K]):
    """A de-duplicating queue with delays and per-key back-off. Performs no I/O and reads no clock.

    Args:
        delay: Seconds to wait before the n-th retry in a row (from 1) of one key.
    """

    def __init__(self, delay: Callable[[int], float]) -> None:
        self._delay = delay
        self._ready: deque[K] = deque()
        self._ready_since: dict[K, float] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._attempts: dict[K, int] = {}
        self._held_until: dict[K, float] = {}
        self._order = itertools.count()
        self.counters = QueueCounters()

    def __len__(self) -> int:
        """Return the number of keys that are ready to be worked on."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing is ready and nobody works; keys may still be waiting for their time."""
        return not self._ready and not self._working

    def add(self, key: K, now: float) -> None:
        """Make ``key`` ready, at once, when its worker is done, or when its hold ends."""
        held_until = self._held_until.get(key, now)
        if held_until > now:
            self.add_after(key, held_until - now, now)
        elif key in self._working:
            self._again.add(key)
        elif key not in self._ready_since:
            self._ready_since[key] = now
            self._ready.append(key)
            self.counters.added += 1

    def add_after(self, key: K, delay_s: float, now: float) -> None:
        """Make ``key`` ready in ``delay_s`` seconds, unless it is due earlier already."""
        if delay_s <= 0:
            self.add(key, now)
            return
        due = now + delay_s
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._timers, (due, next(self._order), key))

    def retry(self, key: K, now: float, *, at_once: bool = False) -> float:
        """Make ``key`` ready after its back-off, which grows until :meth:`forget`.

        Args:
            key: The key.
            now: Monotonic seconds.
            at_once: Count the attempt, but do not wait.

        Returns:
            The seconds it waits.
        """
        attempt = self._attempts.get(key, 0) + 1
        self._attempts[key] = attempt
        self.counters.retried += 1
        delay_s = 0.0 if at_once else self._delay(attempt)
        self.add_after(key, delay_s, now)
        return delay_s

    def hold(self, key: K, delay_s: float, now: float) -> None:
        """Make ``key`` ready in ``delay_s`` seconds and not before, whoever adds it meanwhile."""
        self._held_until[key] = now + delay_s
        self.add_after(key, delay_s, now)

    def rest(self, key: K, delay_s: float, now: float) -> None:
        """Do not make ``key`` ready for ``delay_s`` seconds; what adds it meanwhile coalesces."""
        self._held_until[key] = now + delay_s

    def forget(self, key: K) -> None:
        """Reset the back-off of ``key``."""
        self._attempts.pop(key, None)

    def attempts(self, key: K) -> int:
        """Return how often in a row ``key`` was retried."""
        return self._attempts.get(key, 0)

    def take(self, now: float) -> K | None:
        """Hand out the next ready key, or None. The caller owes a :meth:`done`."""
        self.handle_timer(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._held_until.pop(key, None)
        wait_s = max(0.0, now - self._ready_since.pop(key))
        self._working.add(key)
        self.counters.taken += 1
        self.counters.waited_s += wait_s
        self.counters.worst_wait_s = max(self.counters.worst_wait_s, wait_s)
        return key

    def done(self, key: K, now: float) -> None:
        """Note that the worker of ``key`` has finished; the key is ready again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key, now)

    def next_timer(self) -> float | None:
        """Return when the next waiting key is due."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)  # superseded by an earlier time
        return self._timers[0][0] if self._timers else None

    def handle_timer(self, now: float) -> None:
        """Make ready what is due."""
        while (due := self.next_timer()) is not None and due <= now:
            _, _, key = heapq.heappop(self._timers)
            del self._due[key]
            self.add(key, now)
