"""A real squeeze: an agent whose pods share a small control group, and pods that fill it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from edgecore.pods.holds import CONDITION
from examples.demo.processes import Edge
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.clusters import QUICK, Cluster, container_status, pod, running_cluster
from tests.support.waiting import aeventually

ROOM_MIB = 300
"""What all pods may have together; evicted below 100 MiB."""
GROUP = f"/aiokubeedge-squeeze-{os.getpid()}"

HOG = """
import pathlib, sys, time
held = bytearray()
ticks = pathlib.Path(sys.argv[1] + ".ticks")
while True:
    want = int(pathlib.Path(sys.argv[1]).read_text() or 0) << 20
    if want < len(held):
        held = bytearray(want)
    elif want > len(held):
        held += b"x" * min(want - len(held), 4 << 20)
    ticks.write_text(str(time.monotonic()))
    time.sleep(0.05)
"""


def _memory_is_enforced() -> str:
    """Return why control groups cannot hold memory here; empty where they can."""
    if os.geteuid() != 0:
        return "only root can make control groups"
    return "" if Path("/sys/fs/cgroup/memory").is_dir() or _v2_memory() else "no memory controller is mounted"


def _v2_memory() -> bool:
    try:
        return "memory" in Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    except OSError:
        return False


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_memory_is_enforced()), reason=_memory_is_enforced() or "none"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("pressure"), *QUICK) as running:
        try:
            yield running
        finally:
            _thaw_groups()  # what is frozen does not die
    _remove_groups()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(cluster: Cluster) -> Edge:
    edge = cluster.edges["small"] = Edge(cluster.folder / "small", "small")
    await cluster.join(edge, {})
    await start(cluster, edge)
    return edge


async def start(cluster: Cluster, edge: Edge) -> None:
    (edge.data_dir / "edgecore.yaml").write_text(f"cgroup_root: {GROUP}\n")
    reserved = (psutil.virtual_memory().total >> 20) - ROOM_MIB
    disk_off = "memory.available<100Mi"
    await edge.start(
        f"--reserved-memory-mib={reserved}",
        f"--eviction-hard={disk_off}",
        "--eviction-pressure-transition-period=5s",
        "--metrics-port=0",
    )
    await cluster.node_is("small", "True")


def _groups() -> list[Path]:
    """Return every group that the agent was told to make, those within others first."""
    tops = {Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()}
    return [Path(folder) for top in tops for folder, _, _ in os.walk(f"{top}{GROUP}", topdown=False)]


def _thaw_groups() -> None:
    for folder in _groups():
        for name, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            with suppress(OSError):
                (folder / name).write_text(value)


def _remove_groups() -> None:
    for folder in _groups():
        with suppress(OSError):
            folder.rmdir()


class Hog:
    """A pod whose use of memory the test sets, MiB."""

    def __init__(self, cluster: Cluster, name: str, *, sla: str = "", **resources: Any) -> None:
        self.cluster, self.name = cluster, name
        self._file = cluster.folder / f"{name}.mib"
        self.uses(0)
        self._body = pod(name, '"$@"', container={"name": "main", "resources": resources}, nodeName="small")
        self._body["spec"]["containers"][0]["command"] += ["sh", sys.executable, "-c", HOG, str(self._file)]
        self._body["spec"]["restartPolicy"] = "Always"
        self._body["metadata"]["labels"] = {"edge.aiokubeedge.io/sla": sla} if sla else {}

    def uses(self, mib: int) -> None:
        aside = self._file.with_suffix(".new")
        aside.write_text(str(mib))
        aside.replace(self._file)

    async def start(self) -> str:
        await self.cluster.api.create("pods", self._body)
        return str((await self.cluster.pod_is(self.name))["metadata"]["uid"])

    async def get(self) -> Body:
        return await self.cluster.api.get("pods", "default", self.name)

    def ticks(self) -> float:
        try:
            return float(Path(f"{self._file}.ticks").read_text() or 0)
        except OSError:
            return 0.0

    async def reasons(self) -> set[str]:
        events = await self.cluster.api.list("events", "default")
        return {each["reason"] for each in events if each["involvedObject"]["name"] == self.name}

    async def held(self, status: str, reason: str) -> None:
        async def check() -> bool:
            condition = find_condition(((await self.get()).get("status") or {}).get("conditions"), CONDITION)
            return condition is not None and (condition["status"], condition["reason"]) == (status, reason)

        await aeventually(check, within_s=60, what=f"{self.name} is held {status}: {reason}")

    async def delete(self) -> None:
        await self.cluster.api.delete("pods", "default", self.name)
        await self.cluster.gone("pods", self.name)


def memory(mib: int, cpu: str = "200m") -> dict[str, str]:
    return {"memory": f"{mib}Mi", "cpu": cpu}


async def node_condition(cluster: Cluster, kind: str) -> Body:
    body = await cluster.api.get("nodes", "", "small")
    found = find_condition(body["status"]["conditions"], kind)
    assert found is not None
    return found


async def test_the_low_tier_is_throttled_and_paused_and_outlives_a_crash_of_the_agent(
    cluster: Cluster, edge: Edge
) -> None:
    low = Hog(cluster, "low", sla="low", requests=memory(16), limits=memory(64))
    other = Hog(cluster, "other", sla="high", requests=memory(200), limits=memory(200))
    for hog in (low, other):
        await hog.start()
    other.uses(170)
    await low.held("True", "SlaPaused")
    stood_at = low.ticks()
    assert {"SlaThrottled", "SlaPaused"} <= await aeventually(
        lambda: _with(low, "SlaPaused"), within_s=20, what="events of the hold"
    )
    ready = find_condition((await low.get())["status"]["conditions"], "Ready")
    assert ready is not None
    assert ready["status"] == "False"

    await edge.daemon.kill()
    await start(cluster, edge)
    assert low.ticks() == stood_at
    await low.held("True", "SlaPaused")

    other.uses(1)
    await low.held("True", "SlaThrottled")
    await aeventually(lambda: low.ticks() > stood_at, within_s=20, what="the paused pod goes on")
    body = await low.get()
    assert (body["status"]["phase"], container_status(body)["restartCount"]) == ("Running", 0)
    await low.held("False", "SlaResumed")
    for hog in (low, other):
        await hog.delete()


async def test_a_squeeze_evicts_best_effort_then_burstable_over_its_request_and_never_guaranteed(
    cluster: Cluster, edge: Edge
) -> None:
    guaranteed = Hog(cluster, "guaranteed", requests=memory(100), limits=memory(100))
    within = Hog(cluster, "within", requests=memory(60))
    over = Hog(cluster, "over", requests=memory(16))
    best_effort = Hog(cluster, "best-effort")
    hogs = (guaranteed, within, over, best_effort)
    for hog in hogs:
        await hog.start()
    guaranteed.uses(50)
    over.uses(60)
    # BestEffort goes although Burstable exceeds its request by more.
    best_effort.uses(85)
    first = await cluster.pod_is("best-effort", "Failed")
    assert first["status"]["reason"] == "Evicted"
    assert first["status"]["message"].startswith(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: "
    )
    assert "Container main was using " in first["status"]["message"]
    disruption = find_condition(first["status"]["conditions"], "DisruptionTarget")
    assert disruption is not None
    assert (disruption["status"], disruption["reason"]) == ("True", "TerminationByKubelet")
    pressed = await aeventually(
        lambda: _pressed(cluster, "True"), within_s=30, what="the cloud sees the memory pressure"
    )
    assert pressed["reason"] == "KubeletHasInsufficientMemory"
    assert (await over.get())["status"]["phase"] == "Running"

    over.uses(170)
    second = await cluster.pod_is("over", "Failed")
    assert second["status"]["reason"] == "Evicted"
    for hog in (guaranteed, within):
        body = await hog.get()
        assert (body["status"]["phase"], container_status(body)["restartCount"]) == ("Running", 0)
    assert "Evicted" in await aeventually(over.reasons, within_s=20, what="events of the eviction")

    relieved = await aeventually(lambda: _pressed(cluster, "False"), within_s=60, what="the pressure has passed")
    assert relieved["reason"] == "KubeletHasSufficientMemory"
    for hog in hogs:
        await hog.delete()


async def _pressed(cluster: Cluster, status: str) -> Body:
    found = await node_condition(cluster, "MemoryPressure")
    return found if found["status"] == status else {}


async def _with(hog: Hog, reason: str) -> set[str]:
    found = await hog.reasons()
    return found if reason in found else set()
