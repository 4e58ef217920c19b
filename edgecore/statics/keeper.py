"""Keeps static pods as their files say, and their mirrors in the cloud as the static pods are.

Contract. One task, :meth:`StaticPods.run`, looks at the folder every :data:`LOOK_S` seconds, in a thread, and asks the
cloud for one mirror after the other while it can be reached; it is woken when a mirror comes, changes or goes, when a
pod has been cleared away, and when the cloud comes back. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgpack
import structlog

from edgecore.meta.base import Held, Reports
from edgecore.statics.folder import ManifestFolder
from edgecore.statics.mirrors import Action, Create, Mirrors
from edgecore.statics.wanted import WantedPods
from protocol.errors import AiokubeedgeError
from protocol.messages import Outcome
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0
"""Between looks at the folder, seconds: a change is taken up within two."""


class Asked(AiokubeedgeError):
    """The cloud has refused a mirror, or did not answer.

    Args:
        reason: Why, in a sentence.
        refused: Whether it was refused.
    """

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Restated(Reports, Protocol):
    """What reports have to be able to do for pods that the cloud comes to know later than they run."""

    def restate_pod(self, key: ObjectKey) -> None:
        """Owe the pod's newest status again: its mirror is new."""

    def forget_pod(self, key: ObjectKey) -> None:
        """Remember no report about the pod any longer."""


class StaticPods:
    """The static pods of this node.

    Args:
        node: This node.
        folder: Their files.
        wanted: Where they are put for others to run.
        reports: Where events and ends of mirrors go.
        ask: Asks the cloud for a mirror. Raises :class:`Asked`.
        reachable: Tells whether the cloud can be asked.
        lives: Tells whether anything is left of the pod with this uid.
        wall: Returns seconds since the epoch.
    """

    def __init__(
        self,
        node: NodeName,
        folder: ManifestFolder,
        wanted: WantedPods,
        *,
        reports: Restated,
        ask: Callable[[ObjectKey, bytes], Awaitable[None]],
        reachable: Callable[[], bool],
        lives: Callable[[Uid], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._folder = folder
        self._wanted = wanted
        self._reports = reports
        self._ask = ask
        self._reachable = reachable
        self._lives = lives
        self._wall = wall
        self._mirrors = Mirrors()
        self._wake = asyncio.Event()
        self._gone: dict[Uid, ObjectKey] = {}
        self._serial = 0
        wanted.on_mirrors = self._mirrors_changed

    def begin(self) -> None:
        """Look at the folder for the first time, before anything runs; blocking."""
        pods = self._folder.look()
        if pods is not None:
            self._wanted.replace(pods)

    async def run(self) -> None:
        """Keep everything as it should be until cancelled."""
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        while True:
            if loop.time() >= look_at:
                await self._look()
                look_at = loop.time() + LOOK_S
            await self._tend_mirrors()
            self._wake.clear()
            try:
                async with asyncio.timeout_at(look_at):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def wake(self) -> None:
        """Have the mirrors looked after now."""
        self._wake.set()

    def cleared(self, uid: Uid) -> None:
        """Take note that nothing is left of a pod."""
        key = self._gone.pop(uid, None)
        if key is not None and self._wanted.static_uid(key) is None:
            self._reports.forget_pod(key)
        self.wake()

    def _mirrors_changed(self, changes: Sequence[tuple[ObjectKey, Held | None]]) -> None:
        for key, mirror in changes:
            if mirror is not None and self._wanted.static_uid(key) is not None:
                self._reports.restate_pod(key)
        self.wake()

    async def _look(self) -> None:
        pods = await asyncio.to_thread(self._folder.look)
        if pods is not None:
            self._replace(pods)
        for name, problem in self._folder.fresh_problems().items():
            log.error("static pods not taken up", file=name or str(self._folder.path), cause=problem)
            await self._reports.event(self._event(name, problem))

    def _replace(self, pods: Sequence[Body]) -> None:
        before = {Uid(pod["metadata"]["uid"]): pod for pod in self._wanted.static_pods()}
        self._wanted.replace(pods)
        left = before.keys() - {pod["metadata"]["uid"] for pod in pods}
        for uid in left:
            metadata = before[uid]["metadata"]
            self._gone[uid] = ObjectKey("pods", metadata["namespace"], metadata["name"])
        log.info("static pods changed", pods=len(pods), gone=len(left))

    async def _tend_mirrors(self) -> None:
        loop = asyncio.get_running_loop()
        actions = self._plan(loop.time())
        for action in actions:
            if isinstance(action, Create):
                await self._create(action)
            else:
                await self._reports.pod_finished(action.key.namespace, action.key.name, action.uid)

    def _plan(self, now: float) -> list[Action]:
        if not self._reachable():
            return []
        return self._mirrors.plan(self._wanted.static_pods(), self._wanted.mirrors(), self._lives, now)

    async def _create(self, action: Create) -> None:
        uid = Uid(action.mirror["metadata"]["annotations"]["kubernetes.io/config.hash"])
        try:
            await self._ask(action.key, msgpack.packb(action.mirror))
        except Asked as error:
            outcome = Outcome.REJECTED if error.refused else Outcome.LATER
            log.warning("no mirror of a static pod", pod=str(action.key), cause=str(error))
        else:
            outcome = Outcome.APPLIED
        self._mirrors.answered(uid, outcome, asyncio.get_running_loop().time())

    def _event(self, name: str, problem: str) -> Body:
        wall = self._wall()
        self._serial = (self._serial + 1) & 0xFFFF
        at = timestamp(wall)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self._node}.{int(wall * 1_000_000):x}{self._serial:04x}", "namespace": "default"},
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": self._node},
            "reason": "InvalidStaticPod",
            "message": f"{name or self._folder.path}: {problem}"[:1000],
            "type": "Warning",
            "source": {"component": "edgecore", "host": self._node},
            "reportingComponent": "edgecore",
            "reportingInstance": self._node,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
