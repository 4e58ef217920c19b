"""Turns heartbeats into renewals of Leases in ``kube-node-lease``.

Contract. One task writes, at most a few times a second. What waits is one entry per node, so a slow store makes
renewals coalesce, not queue up. A renewal says when the heartbeat came, not when it was written.
The writes are volatile (``docs/semantics.md``, "The stores"): a heartbeat never costs a disk write of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import AlreadyExists, ApiError, NotFound
from protocol.objects.keys import Body, NodeName, Uid
from protocol.objects.resources import LEASES
from protocol.objects.times import micro_timestamp
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE

log = structlog.get_logger(__name__)

SIDE_BY_SIDE: Final = 64
GATHER_S: Final = 0.2
"""How long renewals gather: together they cost one group in the store, and each watcher of leases one step."""


class Leases:
    """Renews the leases of nodes.

    Args:
        client: Writes them.
        clock: Gives the times.
        duration_s: ``spec.leaseDurationSeconds``, whole seconds.
        annotations: Asked at each renewal what to note on the Lease beside; mostly nothing.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        duration_s: int = 40,
        annotations: Callable[[NodeName], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._client = client
        self._clock = clock
        self._duration_s = duration_s
        self._annotations = annotations
        self._due: dict[NodeName, tuple[Uid, float]] = {}
        self._wanted = asyncio.Event()
        self.renewals_total = 0

    def renew(self, node: NodeName, uid: Uid) -> None:
        """Note a heartbeat of ``node``, whose Node object has ``uid``. Does not block."""
        self._due[node] = (uid, self._clock.wall())
        self._wanted.set()

    async def run(self) -> None:
        """Write renewals until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(GATHER_S)
            self._wanted.clear()
            while self._due:
                batch = [(node, *self._due.pop(node)) for node in list(self._due)[:SIDE_BY_SIDE]]
                await asyncio.gather(*(self._write(node, uid, at) for node, uid, at in batch))

    async def _write(self, node: NodeName, uid: Uid, at: float) -> None:
        patch: Body = {"spec": {"renewTime": micro_timestamp(at)}}
        if noted := self._annotations(node):
            patch["metadata"] = {"annotations": dict(noted)}
        try:
            try:
                await self._client.patch(LEASES, NODE_LEASE_NAMESPACE, node, patch)
            except NotFound:
                await self._client.create(LEASES, self._lease(node, uid, at))
        except AlreadyExists:
            self.renew(node, uid)
        except ApiError as exc:
            log.warning("lease not renewed", node=node, cause=exc.message)
        else:
            self.renewals_total += 1

    def _lease(self, node: NodeName, uid: Uid, at: float) -> Body:
        owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node, "namespace": NODE_LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {
                "holderIdentity": node,
                "leaseDurationSeconds": self._duration_s,
                "acquireTime": micro_timestamp(at),
                "renewTime": micro_timestamp(at),
            },
        }
