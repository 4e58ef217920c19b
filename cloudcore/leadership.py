"""Leader election: of several replicas, one at a time does what only one should.

Source: the algorithm of Kubernetes' own components, on a Lease of ``coordination.k8s.io/v1``. Who holds the Lease
renews it; who does not takes it once it has not seen it change for its duration, by its own clock: clocks of
different machines are never compared. Each write names the version it was made from, so of two takers one loses.

Contract. :meth:`LeaderElection.run` owns the work's task. A leader that could not renew for the deadline stops its
work before another can have begun, and stands for election again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import AlreadyExists, ApiError, Conflict, NotFound
from protocol.objects.keys import Body
from protocol.objects.resources import LEASES
from protocol.objects.times import micro_timestamp

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """The times of an election, as Kubernetes' components have them.

    Attributes:
        duration_s: How long others wait for a leader that is silent, seconds.
        deadline_s: After how long without a renewal a leader stops, seconds; less than the duration.
        retry_s: How often to renew, or to look, seconds.
    """

    duration_s: float = 15.0
    deadline_s: float = 10.0
    retry_s: float = 2.0


class LeaderElection:
    """Takes part in one election.

    Args:
        client: Reads and writes the Lease.
        clock: Gives the times.
        namespace: The Lease's namespace.
        name: Its name.
        identity: Who this replica is; no other has it.
        rng: Spreads the attempts.
        settings: The times.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        namespace: str,
        name: str,
        identity: str,
        rng: Random,
        settings: ElectionSettings | None = None,
    ) -> None:
        self.settings = settings or ElectionSettings()
        self.identity = identity
        self.leads = False
        self._client = client
        self._clock = clock
        self._place = (namespace, name)
        self._rng = rng
        self._holder = ""
        self._mark = ""
        self._marked_at = 0.0

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` whenever this replica leads, until cancelled; each term begins it anew."""
        while True:
            await self._until_elected()
            async with asyncio.TaskGroup() as term:
                working = term.create_task(_awaiting(work), name=f"work of the leader {self.identity}")
                try:
                    await self._until_lost()
                finally:
                    self.leads = False
                    working.cancel()
            log.warning("no longer the leader", lease="/".join(self._place), identity=self.identity)

    async def resign(self) -> None:
        """Give the Lease back, so that another need not wait for it to run out. Called after :meth:`run` has ended."""
        try:
            lease = await self._client.get(LEASES, *self._place)
            if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.update(LEASES, lease)
        except ApiError as exc:
            log.debug("lease not given back", cause=exc.message)

    async def _until_elected(self) -> None:
        while not await self._attempt():
            await self._pause()
        self.leads = True
        log.info("leading", lease="/".join(self._place), identity=self.identity)

    async def _until_lost(self) -> None:
        """Renew until somebody else holds the Lease, or nobody could be asked for the deadline."""
        renewed_at = self._clock.monotonic()
        while self._clock.monotonic() - renewed_at < self.settings.deadline_s:
            await self._pause()
            asked_at = self._clock.monotonic()
            left_s = renewed_at + self.settings.deadline_s - asked_at
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    if await self._attempt():
                        renewed_at = asked_at
                    elif self._holder != self.identity:
                        return
            except TimeoutError:
                return

    async def _attempt(self) -> bool:
        """Take or renew the Lease; tell whether it is held now."""
        try:
            lease = await self._client.get(LEASES, *self._place)
        except NotFound:
            return await self._write(self._client.create, self._taken({}))
        except ApiError as exc:
            log.warning("lease not read", lease="/".join(self._place), cause=exc.message)
            return False
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        mark = f"{holder} {lease['metadata'].get('resourceVersion')}"
        if mark != self._mark:
            self._mark, self._marked_at = mark, self._clock.monotonic()
        self._holder = holder
        wait_s = float(spec.get("leaseDurationSeconds") or self.settings.duration_s)
        if holder not in {"", self.identity} and self._clock.monotonic() - self._marked_at < wait_s:
            return False
        return await self._write(self._client.update, self._taken(lease))

    async def _write(self, verb: Callable[[str, Body], Awaitable[Body]], lease: Body) -> bool:
        try:
            await verb(LEASES, lease)
        except (AlreadyExists, Conflict):
            return False
        except ApiError as exc:
            log.warning("lease not written", lease="/".join(self._place), cause=exc.message)
            return False
        self._holder = self.identity
        return True

    def _taken(self, lease: Body) -> Body:
        """Return the Lease as held by this replica."""
        namespace, name = self._place
        before = lease.get("spec") or {}
        now = micro_timestamp(self._clock.wall())
        mine = before.get("holderIdentity") == self.identity
        spec = {
            **before,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self.settings.duration_s),
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine or not before else 1),
        }
        metadata = lease.get("metadata") or {"name": name, "namespace": namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _pause(self) -> None:
        await asyncio.sleep(self.settings.retry_s * (1.0 + 0.2 * self._rng.random()))


async def _awaiting(work: Callable[[], Awaitable[None]]) -> None:
    await work()
