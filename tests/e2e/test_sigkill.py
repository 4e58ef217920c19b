"""Both daemons are killed again and again while things change: nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from cloudcore.errors import AlreadyExists, ApiError, NotFound
from cloudcore.rest import ServerUnreachable
from edgecore.meta.slice import decode
from examples.demo.processes import Daemon, Edge, StepFailed, until
from protocol.objects.keys import Body, Uid
from protocol.objects.wellknown import ROOT_CA
from tests.support.clusters import Cluster, container_status, held_by, pod, pod_processes, running_cluster, status_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEED = "AIOKUBEEDGE_SEED"
CHANGES = 500
KILLS_EACH = 4
NODES = ("edge-1", "edge-2")
NAMES = tuple(f"n{number}" for number in range(8))
TRANSIENT = ("InternalError", "ServiceUnavailable", "Timeout", "ServerTimeout", "TooManyRequests", "Conflict")


@dataclass(slots=True)
class Kept:
    """What the API has acknowledged of one object: ``change`` is the number of the newest change."""

    uid: str
    change: str
    node: str = ""
    leaving: bool = False


@dataclass
class Writer:
    """Makes random changes one after the other and keeps what was acknowledged.

    A request whose answer is lost is made again: whether the first one was carried out is told by the number of the
    change, which every object carries.
    """

    cluster: Cluster
    rng: Random
    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)

    async def change(self, number: int) -> None:
        resource, name = await self._choose()
        known = self.kept.get((resource, name))
        if known is None:
            await self._create(resource, name, str(number))
            return
        action = self.rng.choice(("update", "update", "delete", "recreate"))
        if action == "update":
            await self._update(resource, name, known, str(number))
        elif action == "delete":
            await self._delete(resource, name, known, at_once=False)
        else:
            await self._delete(resource, name, known, at_once=True)
            await self._create(resource, name, str(number))

    async def _create(self, resource: str, name: str, change: str) -> None:
        node = self.rng.choice(NODES)
        body = _body(resource, name, change, node, bound=self.rng.random() < 0.5)

        async def attempt() -> Body:
            try:
                return await self.cluster.api.create(resource, body)
            except AlreadyExists:
                made = await self.cluster.api.get(resource, "default", name)
                assert _change_of(made) == change, (
                    f"{resource}/{name}: {_change_of(made)} stands in the way of {change}"
                )
                return made

        made = await _persistently(attempt)
        self.kept[resource, name] = Kept(made["metadata"]["uid"], change, node if resource == "pods" else "")

    async def _update(self, resource: str, name: str, known: Kept, change: str) -> None:
        patch = {"metadata": {"annotations": {"change": change}, "uid": known.uid}}
        if resource == "configmaps":
            patch["data"] = {"change": change}
        elif resource == "secrets":
            patch["data"] = {"change": base64.b64encode(change.encode()).decode()}
        await _persistently(lambda: self.cluster.api.patch(resource, "default", name, patch))
        known.change = change

    async def _delete(self, resource: str, name: str, known: Kept, *, at_once: bool) -> None:
        async def attempt() -> None:
            try:
                await self.cluster.api.delete(
                    resource, "default", name, uid=Uid(known.uid), grace_s=0 if at_once else None
                )
            except NotFound:
                pass

        await _persistently(attempt)
        if resource == "pods" and not at_once:
            known.leaving = True
        else:
            del self.kept[resource, name]

    async def _choose(self) -> tuple[str, str]:
        """Return an object to change; not one that is still being deleted, which would make the run wait for nodes."""
        while True:
            resource, name = self.rng.choice(("configmaps", "secrets", "pods", "pods")), self.rng.choice(NAMES)
            known = self.kept.get((resource, name))
            if known is None or not known.leaving:
                return resource, name
            if await _persistently(partial(self._is_gone, resource, name)):
                del self.kept[resource, name]
                return resource, name

    async def _is_gone(self, resource: str, name: str) -> bool:
        try:
            await self.cluster.api.get(resource, "default", name)
        except NotFound:
            return True
        return False


async def _persistently(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Make a request until an answer comes that is the API's own."""
    causes: list[str] = []

    async def once() -> tuple[Any] | None:
        try:
            return (await attempt(),)
        except ServerUnreachable as error:
            causes.append(f"{error.__cause__!r}")
        except ApiError as error:
            if error.reason not in TRANSIENT:
                raise AssertionError(f"{type(error).__name__}: {error}") from error
            causes.append(f"{error.reason}: {error}")
        return None

    try:
        return (await until("the API answers", once, within_s=20, poll_s=0.02))[0]
    except StepFailed as error:
        raise AssertionError(f"{error}; {len(causes)} attempts: {causes[:2]} … {causes[-2:]}") from None


def _body(resource: str, name: str, change: str, node: str, *, bound: bool) -> Body:
    body: Body = {"metadata": {"name": name, "namespace": "default"}}
    if resource == "configmaps":
        body["data"] = {"change": change}
    elif resource == "secrets":
        body["stringData"] = {"change": change}
    else:
        body = _pod(name, node, bound=bound)
    body["metadata"]["annotations"] = {"change": change}
    return body


def _pod(name: str, node: str, *, bound: bool) -> Body:
    """Return a pod that names the ConfigMap and the Secret of its name; half are bound, half scheduled to the node."""
    where = {"nodeName": node} if bound else {"nodeSelector": {"kubernetes.io/hostname": node}}
    return pod(
        name,
        "trap 'exit 0' TERM; sleep 3600 & wait",
        container={"envFrom": [{"configMapRef": {"name": name, "optional": True}}]},
        volumes=[{"name": "s", "secret": {"secretName": name, "optional": True}}],
        **where,
    )


def _change_of(body: Body) -> str:
    return str(body["metadata"]["annotations"]["change"])


class Chaos:
    """Kills daemons at random moments and starts them again, also while they are starting."""

    def __init__(self, cluster: Cluster, rng: Random) -> None:
        self._cluster = cluster
        self._rng = rng
        daemons = [cluster.cloud.daemon, *(edge.daemon for edge in cluster.edges.values())]
        moments = rng.sample(range(CHANGES), KILLS_EACH * len(daemons))
        victims = [daemon for daemon in daemons for _ in range(KILLS_EACH)]
        self._plan: dict[int, Daemon] = dict(zip(moments, victims, strict=True))
        self._turns = {daemon.name: asyncio.Lock() for daemon in daemons}
        self.kills: dict[str, int] = {}

    def strike(self, number: int, tasks: asyncio.TaskGroup) -> None:
        """Kill whom the plan names for this change, somewhere in the tens of milliseconds from now."""
        if number in self._plan:
            tasks.create_task(self._kill(self._plan[number], self._rng.uniform(0, 0.08)))

    async def _kill(self, daemon: Daemon, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        async with self._turns[daemon.name]:
            await daemon.kill()
            self.kills[daemon.name] = self.kills.get(daemon.name, 0) + 1
            if daemon is self._cluster.cloud.daemon:
                await self._cluster.cloud.launch()
            else:
                await daemon.start()


@pytest.mark.timeout(200)
async def test_a_run_of_changes_survives_sigkill_of_both_sides(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED) or SystemRandom().randrange(1 << 32))
    print(f"repeat with {SEED}={seed}")  # noqa: T201 - pytest shows it when the test fails
    rng = Random(seed)
    async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
        for node in NODES:
            await cluster.add_edge(node)
        writer, chaos = Writer(cluster, rng), Chaos(cluster, Random(rng.random()))
        async with asyncio.TaskGroup() as strikes:
            for number in range(CHANGES):
                chaos.strike(number, strikes)
                await writer.change(number)
        assert set(chaos.kills.values()) == {KILLS_EACH}
        await _at_rest(cluster, writer)
        await _holds_what_was_acknowledged(cluster, writer)
        for edge in cluster.edges.values():
            await _edge_matches(cluster, edge)


async def _at_rest(cluster: Cluster, writer: Writer) -> None:
    """Wait until what was deleted is gone, every pod runs, and both edges owe nothing."""
    for (resource, name), known in list(writer.kept.items()):
        if known.leaving:
            await cluster.gone(resource, name, uid=known.uid)
            del writer.kept[resource, name]
        elif resource == "pods":
            await cluster.pod_is(name)
    for edge in cluster.edges.values():

        async def quiet(edge: Edge = edge) -> bool:
            status = status_of(edge)
            held = {row.uid for row in held_by(edge).objects if row.key.resource == "pods"}
            return status["link"]["phase"] == "connected" and status["owed"] == 0 and held == set(pod_processes(edge))

        await until(f"{edge.node} is at rest", quiet)


async def _holds_what_was_acknowledged(cluster: Cluster, writer: Writer) -> None:
    found = {
        (resource, body["metadata"]["name"]): (body["metadata"]["uid"], _change_of(body))
        for resource in ("configmaps", "secrets", "pods")
        for body in await cluster.api.list(resource, "default")
        if body["metadata"]["name"] != ROOT_CA  # Which the cloud puts into every namespace by itself.
    }
    assert found == {key: (known.uid, known.change) for key, known in writer.kept.items()}


async def _edge_matches(cluster: Cluster, edge: Edge) -> None:
    """Require exactly the node's slice on its disk, and exactly its pods as processes, none restarted."""
    pods = await cluster.api.list("pods", "default", field_selector=f"spec.nodeName={edge.node}")
    names = {body["metadata"]["name"] for body in pods}
    wanted = {("pods", body["metadata"]["name"]): (body["metadata"]["uid"], _change_of(body)) for body in pods}
    for resource in ("configmaps", "secrets"):
        for body in await cluster.api.list(resource, "default"):
            if body["metadata"]["name"] in names:
                wanted[resource, body["metadata"]["name"]] = (body["metadata"]["uid"], _change_of(body))
    rows = [row for row in held_by(edge).objects if row.key.resource in ("configmaps", "secrets", "pods")]
    assert {(row.key.resource, row.key.name): (row.uid, _change_of(decode(row.body))) for row in rows} == wanted
    running = pod_processes(edge)
    # The shell and its sleep: two processes for each pod, from one start.
    assert {uid: len(pids) for uid, pids in running.items()} == {body["metadata"]["uid"]: 2 for body in pods}
    assert all(container_status(body)["restartCount"] == 0 for body in pods), pods
