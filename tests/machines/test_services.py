"""Both daemons as services of a real systemd: started at boot, restarted under their pods, and held to their units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from examples.demo.processes import until
from tests.machines.devices import BIN, NODE, Device
from tests.machines.machine import DATA, PATIENCE_S
from tests.support.clusters import container_status, pod

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(2 * PATIENCE_S),
    pytest.mark.asyncio(loop_scope="module"),
]

GROUPS = Path("/sys/fs/cgroup")
LIMITS = {"cpu": "100m", "memory": "32Mi"}


async def value(node: Device, group: str, file: str) -> str:
    return (await node.machine.get("cat", f"{GROUPS}{group}/{file}")).strip()


async def held(node: Device, group: str) -> dict[str, str]:
    """Return what the group of a pod's container is held to."""
    pod_group = str(Path(group).parent)
    return {file: await value(node, pod_group, file) for file in ("memory.max", "cpu.max")}


async def agent(node: Device) -> int:
    return int(await node.machine.get("systemctl", "show", "--property=MainPID", "--value", "edgecore"))


async def new_agent(node: Device, old: int) -> int:
    async def changed() -> int:
        now = await agent(node)
        return now if now not in (0, old) else 0

    return await until("another agent runs", changed, within_s=PATIENCE_S)


async def adopted(node: Device, name: str, process: dict[str, Any]) -> None:
    """Wait until the agent of the moment has taken up its pods; then the pod must be the one of before."""

    async def taken_up() -> bool:
        pid = await agent(node)
        return "pods taken up" in await node.machine.get("journalctl", f"_PID={pid}", "--output=cat", "--no-pager")

    await until("the agent has taken up its pods", taken_up, within_s=PATIENCE_S)
    body = await node.cluster.pod_is(name)
    assert container_status(body)["restartCount"] == 0
    now = (await node.processes())[body["metadata"]["uid"]]
    assert process["pid"] in [each["pid"] for each in now]


async def test_joining_with_a_service_starts_the_agent_and_pods_within_limits(node: Device) -> None:
    assert "the agent runs as /etc/systemd/system/edgecore.service" in await node.join()
    assert (await node.machine.get("systemctl", "is-enabled", "edgecore")).strip() == "enabled"
    await node.cluster.node_is(NODE, "True", within_s=PATIENCE_S)

    container = {"name": "main", "resources": {"requests": LIMITS, "limits": LIMITS}}
    await node.cluster.api.create("pods", pod("bound", "sleep 100000; :", nodeName=NODE, container=container))
    await node.cluster.api.create("pods", pod("free", "sleep 100000; :", nodeName=NODE))
    for name in ("bound", "free"):
        await node.cluster.pod_is(name, within_s=PATIENCE_S)
    processes = await node.processes()
    uid = (await node.cluster.pod_is("bound"))["metadata"]["uid"]
    main = processes[uid][0]
    assert await held(node, main["group"]) == {"memory.max": str(32 << 20), "cpu.max": "10000 100000"}
    assert '"version": 2' in await node.journal()


async def test_pods_inherit_nothing_of_the_unit(node: Device) -> None:
    body = await node.cluster.pod_is("free")
    first = (await node.processes())[body["metadata"]["uid"]][0]
    everything = (await node.machine.shell("grep CapBnd /proc/1/status")).split()[1]
    status = first["status"]
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapBnd"]) == ("0", "0", everything)
    assert status["Umask"] == "0022"
    assert first["files"] == "1024"
    assert first["oom_score_adj"] == 1000
    own = await node.machine.get("readlink", f"/proc/{first['pid']}/ns/mnt", "/proc/1/ns/mnt")
    assert len({*own.split()}) == 1


@pytest.mark.parametrize("how", ["restart", "kill", "reload"])
async def test_pods_and_their_limits_outlive_the_agent(node: Device, how: str) -> None:
    uid = (await node.cluster.pod_is("bound"))["metadata"]["uid"]
    main, old = (await node.processes())[uid][0], await agent(node)
    if how == "restart":
        await node.machine.get("systemctl", "restart", "edgecore")
        await new_agent(node, old)
    elif how == "kill":
        await node.machine.get("kill", "-KILL", str(old))
        await new_agent(node, old)
    else:
        await node.machine.get("systemctl", "daemon-reload")
    await adopted(node, "bound", main)
    assert await held(node, main["group"]) == {"memory.max": str(32 << 20), "cpu.max": "10000 100000"}


async def test_a_stopped_agent_leaves_its_pods_and_their_controllers(node: Device) -> None:
    uid = (await node.cluster.pod_is("bound"))["metadata"]["uid"]
    main = (await node.processes())[uid][0]
    await node.machine.get("systemctl", "stop", "edgecore")
    # systemd takes controllers from where no unit needs them; those of pods must stay.
    await node.machine.get("systemctl", "daemon-reload")
    assert main["pid"] in [each["pid"] for each in (await node.processes())[uid]]
    assert await held(node, main["group"]) == {"memory.max": str(32 << 20), "cpu.max": "10000 100000"}
    await node.machine.get("systemctl", "start", "edgecore")
    await adopted(node, "bound", main)


async def test_the_cloud_runs_as_a_confined_service(node: Device) -> None:
    data = DATA / "cloud"
    await node.machine.shell("useradd --system cloud")
    said = await node.machine.get(BIN / "cloudcore", "install-service", f"--data-dir={data}", "--user=cloud")
    assert "the daemon runs as" in said

    async def ready() -> bool:
        return '"ready": true' in (await node.machine.run("cat", data / "run.json")).out.lower()

    try:
        await until("cloudcore is ready", ready, within_s=PATIENCE_S)
    except Exception:
        print(await node.machine.get("journalctl", "--unit=cloudcore", "--output=cat", "--no-pager"))  # noqa: T201
        raise
    pid = (await node.machine.get("systemctl", "show", "--property=MainPID", "--value", "cloudcore")).strip()
    status = await node.machine.get("cat", f"/proc/{pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapBnd"], 16)) == ("1", "2", 0)
    await node.machine.get("systemctl", "disable", "--now", "cloudcore")


async def test_after_a_reboot_the_agent_and_its_pods_run_again(node: Device) -> None:
    before = node.machine.boot_id
    await node.machine.shut_down()
    await node.machine.boot()
    assert node.machine.boot_id != before

    async def again() -> bool:
        body = await node.cluster.pod_is("bound")
        return bool((await node.processes()).get(body["metadata"]["uid"]))

    await until("the pod runs again", again, within_s=PATIENCE_S)
    await node.cluster.node_is(NODE, "True", within_s=PATIENCE_S)
    body = await node.cluster.pod_is("bound")
    main = (await node.processes())[body["metadata"]["uid"]][0]
    assert await held(node, main["group"]) == {"memory.max": str(32 << 20), "cpu.max": "10000 100000"}
