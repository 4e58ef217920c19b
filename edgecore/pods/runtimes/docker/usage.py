"""What the Docker runtime's pods use: read from the kernel's accounts of their control groups and networks.

The engine is asked once every time which containers there are, and once in a container's life where its process is:
its own statistics take it a second each. An engine on another machine is not measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgecore.cgroups.accounts import GroupAccounts, accounts_of, read_accounts
from edgecore.metrics.usage import ContainerUsage, PodNetwork, Usage
from edgecore.pods.runtimes.docker import labels
from edgecore.pods.runtimes.docker.engine import Answer, Engine
from edgecore.pods.runtimes.docker.states import address_of, is_running
from protocol.objects.keys import Uid

_ENDED: Final = frozenset({"exited", "dead", "stopped"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A container that runs, or a pod's sandbox.

    Attributes:
        id: The engine's id of it.
        pod: The pod's uid.
        name: The container's name; empty for a sandbox.
        pid: Its first process.
        group: Its accounts; None where they cannot be found, and for a sandbox.
        address: Of a sandbox with a network of its own, the pod's address.
    """

    id: str
    pod: Uid
    name: str
    pid: int
    group: GroupAccounts | None
    address: str


class DockerUsage:
    """Implements :class:`edgecore.metrics.usage.UsageSource`.

    Args:
        engine: The runtime's own connection, which the runtime closes.
        host: Where the engine listens.
    """

    def __init__(self, engine: Engine, host: str) -> None:
        self._engine = engine
        self._local = host.startswith("unix://")
        self._found: dict[str, _Found | None] = {}  # None: it has ended

    async def usage(self) -> Usage:
        """Measure every running container."""
        if not self._local:
            return Usage()
        ids = await self._engine.list()
        self._found = {docker_id: self._found[docker_id] for docker_id in ids if docker_id in self._found}
        for docker_id in ids:
            if docker_id not in self._found:
                await self._look(docker_id)
        return await asyncio.to_thread(_measured, [found for found in self._found.values() if found is not None])

    async def _look(self, docker_id: str) -> None:
        inspected = await self._engine.inspect(docker_id)
        if inspected is not None and is_running(inspected):
            self._found[docker_id] = _found_by(inspected)
        elif inspected is not None and inspected["State"].get("Status") in _ENDED:
            self._found[docker_id] = None  # it will never run again: a restart is another container


def _found_by(inspected: Answer) -> _Found | None:
    tags, pid = inspected["Config"]["Labels"] or {}, int(inspected["State"].get("Pid") or 0)
    docker_id, pod = str(inspected["Id"]), Uid(tags.get(labels.POD_UID, ""))
    if not pid or not pod:
        return None
    container = labels.container_of(tags)
    if container is None:
        return _Found(docker_id, pod, "", pid, None, address_of(inspected))
    markers = (docker_id, f"docker-{docker_id}.scope", f"libpod-{docker_id}.scope")
    return _Found(docker_id, pod, container.name, pid, accounts_of(pid, markers), "")


def _measured(found: Iterable[_Found]) -> Usage:
    containers: list[ContainerUsage] = []
    networks: list[PodNetwork] = []
    for each in found:
        use = read_accounts(each.group) if each.group is not None else None
        if use is not None:
            containers.append(ContainerUsage(each.pod, each.name, each.id, use.cpu_s, use.memory_bytes))
        elif each.address and (counted := _traffic(each.pid)) is not None:
            networks.append(PodNetwork(each.pod, each.address, *counted))
    return Usage(containers, networks)


def _traffic(pid: int) -> tuple[int, int] | None:
    """Return bytes received and sent in the network that a process is in, loopback left out."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return None
    counters = [(name.strip(), rest.split()) for name, _, rest in (line.partition(":") for line in lines)]
    outside = [fields for name, fields in counters if name != "lo"]
    return sum(int(fields[0]) for fields in outside), sum(int(fields[8]) for fields in outside)
