from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from typing import Any, cast

import pytest

from edgecore.metrics.usage import ContainerUsage, Usage
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec
from edgecore.pods.runtimes.docker import labels
from edgecore.pods.runtimes.docker.engine import Engine
from edgecore.pods.runtimes.docker.runtime import DockerRuntime
from edgecore.pods.runtimes.docker.usage import DockerUsage
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid
from tests.support.dockers import BUSYBOX_IMAGE, WEB_IMAGE, DockerEngine
from tests.support.waiting import aeventually

POD = Uid("8f14e45f-0000-4000-8000-000000000001")


class Told:
    """An engine that tells what it was given, and how often it was asked."""

    def __init__(self) -> None:
        self.containers: dict[str, Any] = {}
        self.inspected: list[str] = []

    async def list(self, *more_labels: str) -> list[str]:
        return [*self.containers]

    async def inspect(self, docker_id: str) -> Any:
        self.inspected.append(docker_id)
        return self.containers[docker_id]


def container(docker_id: str, status: str, pid: int) -> Any:
    tags = {labels.TYPE: labels.CONTAINER, labels.POD_UID: POD, labels.CONTAINER_NAME: "c", labels.ATTEMPT: "0"}
    state = {"Status": status, "Running": status == "running", "Pid": pid}
    return {"Id": docker_id, "Config": {"Labels": tags}, "State": state}


async def test_a_container_is_looked_up_once_in_its_life() -> None:
    engine = Told()
    engine.containers = {"ended": container("ended", "exited", 0), "made": container("made", "created", 0)}
    engine.containers["runs"] = container("runs", "running", 1 << 22)  # no such process: nothing to read
    source = DockerUsage(cast(Engine, engine), "unix:///docker.sock")
    assert await source.usage() == Usage([], [])
    assert await source.usage() == Usage([], [])
    assert sorted(engine.inspected) == ["ended", "made", "made", "runs"]
    del engine.containers["runs"]
    await source.usage()
    assert set(source._found) == {"ended"}


async def test_an_engine_on_another_machine_is_not_measured() -> None:
    engine = Told()
    engine.containers = {"runs": container("runs", "running", 1)}
    assert await DockerUsage(cast(Engine, engine), "tcp://192.0.2.1:2375").usage() == Usage()
    assert engine.inspected == []


@pytest.mark.e2e
async def test_what_containers_use_is_what_the_kernel_says(docker: DockerEngine, tmp_path: Path) -> None:
    settings = docker.settings(tmp_path)
    engine = Engine(settings.host, settings.owner, settings.answer_timeout_s)
    runtime, source = DockerRuntime(settings, engine=engine), DockerUsage(engine, settings.host)
    await runtime.open(lambda state: None)
    sandbox = SandboxSpec(pod=POD, name="web", namespace="default")
    try:
        address = await runtime.prepare(sandbox)
        for name, image, argv in (
            ("burn", BUSYBOX_IMAGE, ("sh", "-c", "while :; do :; done")),
            ("serve", WEB_IMAGE, ()),
        ):
            spec = ContainerSpec(ContainerId(POD, name, 0), "default", "web", image, argv, sandbox=sandbox)
            await runtime.start(spec)

        async def measured() -> dict[str, ContainerUsage]:
            usage = await source.usage()
            return {each.name: each for each in usage.containers if each.pod == POD}

        async def burnt() -> bool:
            used = await measured()
            return used["burn"].cpu_s > 0.5 and used["burn"].cpu_s > 5 * used["serve"].cpu_s

        await aeventually(burnt, what="half a second of processor time")
        assert all(0 < each.memory_bytes < 64 << 20 for each in (await measured()).values())

        [before] = (await source.usage()).networks
        assert (before.pod, before.address) == (POD, address)
        await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://{address}/", timeout=10).read())
        [after] = (await source.usage()).networks
        assert after.received_bytes > before.received_bytes
        assert after.sent_bytes > before.sent_bytes

        await runtime.remove_pod(POD)
        assert await measured() == {}
    finally:
        await runtime.remove_pod(POD)
        await runtime.close()
