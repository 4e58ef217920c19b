"""Carries decisions out through the API: bindings, and the condition of pods that found no node.

Contract. A fixed number of workers shares one bounded queue of bindings; when it is full the scheduler waits with
the next pod. Conditions are coalesced per pod (only the newest matters), so their number is bounded by the pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import ApiError, InternalError
from cloudcore.scheduler.podqueue import QueuedPod
from protocol.objects.conditions import find_condition
from protocol.objects.keys import ObjectKey
from protocol.objects.resources import PODS
from protocol.objects.storageclasses import SELECTED_NODE
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)

QUEUE_LIMIT = 1024
WORKERS = 64
REPORTERS = 8


@dataclass(frozen=True, slots=True)
class Bound:
    """How a binding ended: ``error`` is None where the pod is on ``node``."""

    pod: QueuedPod
    node: str
    error: ApiError | None


class Binder:
    """Binds pods and reports those that cannot be bound.

    Args:
        client: What writes.
        clock: Gives the conditions' times.
        done: Told how each binding ended; called on the loop, must not block.
    """

    def __init__(self, client: Client, clock: Clock, done: Callable[[Bound], None]) -> None:
        self._client = client
        self._clock = clock
        self._done = done
        self._bindings: asyncio.Queue[tuple[QueuedPod, str]] = asyncio.Queue(QUEUE_LIMIT)
        self._reports: dict[QueuedPod, str] = {}
        self._choices: asyncio.Queue[tuple[QueuedPod, str, tuple[ObjectKey, ...]]] = asyncio.Queue(QUEUE_LIMIT)
        self._wanted = asyncio.Event()

    async def bind(self, pod: QueuedPod, node: str) -> None:
        """Queue a binding; waits while the queue is full."""
        await self._bindings.put((pod, node))

    async def choose(self, pod: QueuedPod, node: str, claims: tuple[ObjectKey, ...]) -> None:
        """Queue the choice of a node for claims that wait for it; waits while the queue is full.

        ``done`` is told if it fails only: where it does not, the claims change.
        """
        await self._choices.put((pod, node, claims))

    def report(self, pod: QueuedPod, message: str) -> None:
        """Have ``PodScheduled=False`` with ``message`` written to the pod, unless that is what it says."""
        condition = find_condition((pod.body.get("status") or {}).get("conditions"), "PodScheduled")
        if condition is None or (condition.get("status"), condition.get("message")) != ("False", message):
            self._reports[pod] = message
            self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._bind_for_ever(), name=f"binder {number}")
            group.create_task(self._choose_for_ever(), name="chooser of claims' nodes")
            for number in range(REPORTERS):
                group.create_task(self._report_for_ever(), name=f"scheduling reporter {number}")

    async def _bind_for_ever(self) -> None:
        while True:
            pod, node = await self._bindings.get()
            error: ApiError | None = None
            try:
                await self._client.bind(pod.key.namespace, pod.key.name, node, uid=pod.uid)
            except ApiError as exc:
                error = exc
            except Exception:
                # A defect that one pod brings to light must not end the scheduling of all others.
                log.exception("binding met a defect", object=str(pod.key), node=node)
                error = InternalError("the binding met a defect; see the log")
            self._done(Bound(pod, node, error))

    async def _choose_for_ever(self) -> None:
        while True:
            pod, node, claims = await self._choices.get()
            patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
            try:
                for claim in claims:
                    await self._client.patch(*claim, patch)
            except ApiError as error:
                self._done(Bound(pod, node, error))

    async def _report_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            while self._reports:
                pod = next(iter(self._reports))
                await self._report(pod, self._reports.pop(pod))
            self._wanted.clear()

    async def _report(self, pod: QueuedPod, message: str) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": timestamp(self._clock.wall()),
        }
        before = find_condition((pod.body.get("status") or {}).get("conditions"), "PodScheduled")
        if before is not None and before.get("status") == "False":
            condition["lastTransitionTime"] = before.get("lastTransitionTime") or condition["lastTransitionTime"]
        # The uid keeps the report from a pod that was made again under the same name.
        patch = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                PODS, pod.key.namespace, pod.key.name, patch, kind="strategic", subresource="status"
            )
        except ApiError as error:
            # The pod has gone, or it is told again at its next try.
            log.debug("condition not written", object=str(pod.key), cause=error.message)
