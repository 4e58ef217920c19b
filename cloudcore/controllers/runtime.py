"""The runtime of controllers: changes in, keys queued, keys reconciled.

Contract: a controller's handlers only queue keys; its workers, tasks owned by :meth:`Controller.run`, reconcile them,
never two at a time for one key. ``reconcile`` gets a key, not a change: it reads the caches and must be right however
many changes it missed. Its writes go through :class:`~cloudcore.informers.ReadYourWrites`, so the caches have them
before the key comes up again. What a reconcile raises is answered here:

==========================  ================================================================================
``Conflict``                again at once, up to three times in a row; then with back-off
``TooManyRequests``         again after what the server asked for and not before, whatever changes meanwhile
another ``ApiError``        logged as a warning; again with back-off
any other exception         logged with its trace; again with back-off
==========================  ================================================================================

The back-off of a key begins at 50 ms, doubles up to 60 s, and is forgotten at its first success. A change brings a key
up before that, but in its first second not: what a reconcile wrote before it failed comes back as a change, and so does
every report of a pod. The queue's bound is the number of distinct keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Generic, Protocol, TypeVar

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import ApiError, Conflict, TooManyRequests
from cloudcore.events import NamedRecorder
from cloudcore.informers import AsyncWorkQueue, Informers
from protocol.backoff import RetryPolicy
from protocol.objects.keys import Body, ObjectKey, key_of

log = structlog.get_logger(__name__)

RETRY = RetryPolicy(max_retries=None, initial_delay_s=0.05, max_delay_s=60.0)
IMMEDIATE_CONFLICTS = 3
DEAF_S = 1.0
"""For how much of its back-off no change brings a key up."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do for this key until something changes.

    Attributes:
        rest_s: Do not reconcile the key again for so many seconds, whatever changes. What costs much per reconcile
            asks for a rest in proportion, so that a burst of changes is worked off in a few reconciles.
    """

    rest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile this key again after ``seconds``, whatever happens.

    Attributes:
        seconds: When.
        rest_s: As for :class:`Done`.
    """

    seconds: float
    rest_s: float = 0.0


Result = Done | RequeueAfter
DONE = Done()


class Recorders(Protocol):
    """Where controllers get their event recorders."""

    def named(self, component: str) -> NamedRecorder:
        """Return the recorder of one component."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every controller works with.

    Attributes:
        client: Writes; each write is in the caches when it returns.
        informers: Reads.
        recorder: Tells people.
        clock: Time.
        rng: Randomness.
    """

    client: Client
    informers: Informers
    recorder: Recorders
    clock: Clock
    rng: Random


K = TypeVar("K", bound=Hashable)
K_co = TypeVar("K_co", bound=Hashable, covariant=True)


@dataclass(frozen=True, slots=True)
class Watching(Generic[K_co]):
    """A resource that a controller follows.

    Attributes:
        resource: The group-resource.
        keys: Returns the keys to reconcile for a change ``(old, new)``.
    """

    resource: str
    keys: Callable[[Body | None, Body | None], Iterable[K_co]]


def own_keys(resource: str) -> Callable[[Body | None, Body | None], Iterable[ObjectKey]]:
    """Return the mapping under which an object of ``resource`` is its own key."""

    def keys(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        body = new or old
        return () if body is None else (key_of(resource, body),)

    return keys


class Reconciler(Protocol[K]):
    """One controller's logic."""

    name: str
    workers: int

    def watches(self) -> Sequence[Watching[K]]:
        """Return the resources that it follows."""

    async def reconcile(self, key: K) -> Result:
        """Bring what ``key`` names closer to what is wanted."""


@dataclass(slots=True)
class ControllerCounters:
    """What a controller has done; plain numbers for metrics."""

    reconciled: int = 0
    failed: int = 0
    conflicts: int = 0
    throttled: int = 0


@dataclass(slots=True)
class Controller(Generic[K]):
    """Drives one reconciler.

    Args:
        logic: The reconciler.
        informers: Where it reads from.
        rng: Spreads retries.
    """

    logic: Reconciler[K]
    informers: Informers
    rng: Random
    queue: AsyncWorkQueue[K] = field(init=False)
    _ends: list[Callable[[], None]] | None = field(init=False, default=None)
    counters: ControllerCounters = field(default_factory=ControllerCounters)

    def __post_init__(self) -> None:
        """Ask for the informers early, so that they start with the others."""
        self.queue = AsyncWorkQueue(self._delay)
        for watching in self.logic.watches():
            self.informers.for_resource(watching.resource)

    async def run(self) -> None:
        """Follow, wait for the first lists, then reconcile until cancelled."""
        for watching in self.logic.watches():
            await self.informers.for_resource(watching.resource).wait_synced()
        # Asked again: resources may have come while others were listed.
        ends = self._ends = [self._follow(watching) for watching in self.logic.watches()]
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.logic.workers):
                    group.create_task(self._work(), name=f"{self.logic.name} worker {number}")
        finally:
            for end in ends:
                end()
            self._ends = None
            self.queue.close()

    def follow(self, watching: Watching[K]) -> None:
        """Follow one more resource; before :meth:`run` there is nothing to do, for it asks what there is."""
        if self._ends is not None:
            self._ends.append(self._follow(watching))

    def _follow(self, watching: Watching[K]) -> Callable[[], None]:
        def handle(old: Body | None, new: Body | None) -> None:
            for key in watching.keys(old, new):
                self.queue.add(key)

        return self.informers.for_resource(watching.resource).subscribe(handle)

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._attempt(key)
            finally:
                self.queue.done(key)

    async def _attempt(self, key: K) -> None:
        try:
            result = await self.logic.reconcile(key)
        except Exception as error:  # noqa: BLE001 - a worker's top loop: one bad object must not stop the others
            self._failed(key, error)
            return
        self.counters.reconciled += 1
        self.queue.forget(key)
        if result.rest_s > 0:
            self.queue.rest(key, result.rest_s)
        if isinstance(result, RequeueAfter):
            self.queue.add_after(key, result.seconds)

    def _failed(self, key: K, error: Exception) -> None:
        about = {"controller": self.logic.name, "object": str(key)}
        if isinstance(error, Conflict) and self.queue.core.attempts(key) < IMMEDIATE_CONFLICTS:
            self.counters.conflicts += 1
            self.queue.retry(key, at_once=True)
            return
        if isinstance(error, TooManyRequests):
            self.counters.throttled += 1
            log.info("throttled", cause=error.message, **about)
            self.queue.hold(key, (error.retry_after_s or 1) * (1.0 + 0.1 * self.rng.random()))
            return
        if isinstance(error, ApiError):
            self.counters.failed += 1
            log.warning("reconcile failed", cause=str(error), **about)
        else:
            self.counters.failed += 1
            log.error("reconcile failed", exc_info=error, **about)
        self.queue.rest(key, min(DEAF_S, self.queue.retry(key)))

    def _delay(self, attempt: int) -> float:
        """Return a delay that doubles, with half of it random so that failures spread out."""
        return RETRY.bound_s(attempt - 1) * (0.5 + 0.5 * self.rng.random())
