"""A squeeze of memory on v2: the low tier is held back, BestEffort goes, then Burstable over its request."""

from __future__ import annotations

from typing import Any

import pytest

from edgecore.pods.holds import CONDITION
from examples.demo.processes import until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.machines.devices import EDGE, NODE, Device
from tests.machines.machine import PATIENCE_S
from tests.support.clusters import container_status, pod

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(2 * PATIENCE_S),
    pytest.mark.asyncio(loop_scope="module"),
]

ROOM_MIB = 300
"""What all pods may have together; evicted below 100 MiB."""
HOG = """
import pathlib, sys, time
held = bytearray()
wanted, ticks = pathlib.Path(sys.argv[1]), 0
while True:
    want = int(wanted.read_text() or 0) << 20 if wanted.exists() else 0
    if want < len(held):
        held = bytearray(want)
    elif want > len(held):
        held += b"x" * min(want - len(held), 4 << 20)
    ticks += 1
    pathlib.Path(sys.argv[1] + ".ticks").write_text(str(ticks))
    time.sleep(0.1)
"""


class Hog:
    """A pod whose use of memory the test sets, MiB."""

    def __init__(self, node: Device, name: str, *, sla: str = "", **resources: Any) -> None:
        self.node, self.name = node, name
        self._file = f"/run/hog-{name}"
        self._body = pod(name, '"$@"', container={"name": "main", "resources": resources}, nodeName=NODE)
        self._body["spec"]["containers"][0]["command"] += ["sh", "/usr/bin/python3", "-c", HOG, self._file]
        self._body["metadata"]["labels"] = {"edge.aiokubeedge.io/sla": sla} if sla else {}

    async def uses(self, mib: int) -> None:
        await self.node.machine.shell(f"echo {mib} > {self._file}.new && mv {self._file}.new {self._file}")

    async def start(self) -> None:
        await self.node.cluster.api.create("pods", self._body)
        await self.node.cluster.pod_is(self.name, within_s=PATIENCE_S)

    async def get(self) -> Body:
        return await self.node.cluster.api.get("pods", "default", self.name)

    async def ticks(self) -> int:
        done = await self.node.machine.run("cat", f"{self._file}.ticks")
        return int(done.out or 0)

    async def goes_on(self) -> None:
        before = await self.ticks()

        async def ticked() -> bool:
            return await self.ticks() > before

        await until(f"{self.name} goes on", ticked, within_s=PATIENCE_S)

    async def held(self, status: str, reason: str) -> None:
        async def check() -> bool:
            condition = find_condition(((await self.get()).get("status") or {}).get("conditions"), CONDITION)
            return condition is not None and (condition["status"], condition["reason"]) == (status, reason)

        await until(f"{self.name} is held {status}: {reason}", check, within_s=PATIENCE_S)

    async def evicted(self) -> None:
        body = await self.node.cluster.pod_is(self.name, "Failed", within_s=PATIENCE_S)
        assert body["status"]["reason"] == "Evicted"

    async def unharmed(self) -> None:
        body = await self.get()
        assert (body["status"]["phase"], container_status(body)["restartCount"]) == ("Running", 0)

    async def delete(self) -> None:
        await self.node.cluster.api.delete("pods", "default", self.name)
        await self.node.cluster.gone("pods", self.name, within_s=PATIENCE_S)


def memory(mib: int) -> dict[str, str]:
    return {"memory": f"{mib}Mi", "cpu": "100m"}


async def test_the_node_has_little_room(node: Device) -> None:
    total_kib = int((await node.machine.shell("grep MemTotal /proc/meminfo")).split()[1])
    settings = {
        "reserved_memory_mib": (total_kib >> 10) - ROOM_MIB,
        "eviction_hard": '"memory.available<100Mi"',
        "eviction_pressure_transition_period": '"5s"',
    }
    text = "".join(f"{name}: {value}\n" for name, value in settings.items())
    await node.machine.shell(f"mkdir -p {EDGE} && cat > {EDGE}/edgecore.yaml", text=text)
    await node.join()
    await node.cluster.node_is(NODE, "True", within_s=PATIENCE_S)


async def test_the_low_tier_is_throttled_paused_and_resumed(node: Device) -> None:
    low = Hog(node, "low", sla="low", requests=memory(16), limits=memory(64))
    other = Hog(node, "other", sla="high", requests=memory(200), limits=memory(200))
    for hog in (low, other):
        await hog.start()
    await low.goes_on()
    await other.uses(170)
    await low.held("True", "SlaPaused")
    stood_at = await low.ticks()
    uid = (await low.get())["metadata"]["uid"]
    group = (await node.processes())[uid][0]["group"].rpartition("/")[0]
    assert (await node.machine.get("cat", f"/sys/fs/cgroup{group}/cgroup.freeze")).strip() == "1"

    await node.machine.get("systemctl", "restart", "edgecore")
    await low.held("True", "SlaPaused")
    assert await low.ticks() == stood_at

    await other.uses(1)
    await low.held("False", "SlaResumed")
    await low.goes_on()
    for hog in (low, other):
        await hog.unharmed()
        await hog.delete()


async def test_best_effort_is_evicted_then_burstable_over_its_request_and_never_guaranteed(node: Device) -> None:
    guaranteed = Hog(node, "guaranteed", requests=memory(100), limits=memory(100))
    within = Hog(node, "within", requests=memory(60))
    over = Hog(node, "over", requests=memory(16))
    best_effort = Hog(node, "best-effort")
    for hog in (guaranteed, within, over, best_effort):
        await hog.start()
    await guaranteed.uses(50)
    await over.uses(60)
    # BestEffort goes although Burstable exceeds its request by more.
    await best_effort.uses(85)
    await best_effort.evicted()
    await over.unharmed()
    await over.uses(170)
    await over.evicted()
    for hog in (guaranteed, within):
        await hog.unharmed()
