"""A machine that is a node of a cloud. The cloud runs on the host, beyond the reach of what becomes of the machine."""

from __future__ import annotations

import json
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.machines.images import Image
from tests.machines.machine import CLOUD, DATA, PYTHON, Machine
from tests.support.clusters import Cluster, running_cluster

NODE: Final = "machine"
EDGE: Final = DATA / "edge"
BIN: Final = Path(PYTHON).parent
_FLAGS: Final = (f"--advertise=127.0.0.1,localhost,{CLOUD}", "--heartbeat-s=2")

_PROCESSES: Final = textwrap.dedent("""
    import json, os, pathlib, re
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            group = (folder / "cgroup").read_text().strip().removeprefix("0::")
            lines = (folder / "status").read_text().splitlines()
            status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
            words = (folder / "cmdline").read_bytes().decode().split("\\0")
            score = int((folder / "oom_score_adj").read_text())
            files = re.search(r"Max open files +(\\d+)", (folder / "limits").read_text())[1]
        except OSError:
            continue
        uid = re.search(r"/pod([^/]+)", group)
        if uid and status["State"][0] != "Z":
            one = dict(pid=int(folder.name), group=group, status=status, argv=words, oom_score_adj=score, files=files)
            found.setdefault(uid[1], []).append(one)
    print(json.dumps(found))
""")
"""Prints the processes of pods by the pod's uid, found through their control groups."""


@dataclass
class Device:
    """A machine with the agent as its service, and its cloud."""

    cluster: Cluster
    machine: Machine

    async def join(self) -> str:
        """Join, with the agent as a service; return what the command said."""
        cloud = self.cluster.cloud
        server = f"https://{CLOUD}:{cloud.ports['enrol_port']}"
        flags = [f"--data-dir={EDGE}", f"--server={server}", f"--node-name={NODE}", "--token-file=-"]
        return await self.machine.get(
            BIN / "edgecore", "join", *flags, "--install-service", text=await cloud.token(NODE)
        )

    async def processes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the processes in pods' groups, by the pod's uid."""
        found: dict[str, list[dict[str, Any]]] = json.loads(await self.machine.get("python3", "-c", _PROCESSES))
        return found

    async def journal(self) -> str:
        """Return what the agent has said since the machine was switched on."""
        return await self.machine.get("journalctl", "--unit=edgecore", "--boot", "--output=cat", "--no-pager")


async def install(machine: Machine) -> None:
    """Install the project's wheel."""
    await machine.shell(f"{PYTHON} -m pip install --quiet --no-index --no-deps --no-compile /project/*.whl; sync")


@asynccontextmanager
async def device(image: Image, folder: Path, *flags: str) -> AsyncIterator[Device]:
    """Run a cloud, and a machine on which the wheel is installed, and nothing of it runs."""
    async with running_cluster(folder, *_FLAGS, *flags) as cluster:
        ports = [cluster.cloud.ports[name] for name in ("ws_port", "enrol_port")]
        machine = Machine(image, folder, ports)
        await machine.boot()
        try:
            await install(machine)
            yield Device(cluster, machine)
        finally:
            await machine.cut_power()
