from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, Runtime
from edgecore.pods.runtimes.docker.runtime import DockerRuntime
from tests.contracts.runtime import RuntimeContract
from tests.support.dockers import BUSYBOX_IMAGE, DockerEngine

pytestmark = pytest.mark.e2e

RUN = "trap 'exit 143' TERM; mkfifo /end; exec 3<>/end; read code <&3; exit $code"


class DockerStage:
    def __init__(self, docker: DockerEngine, root: Path) -> None:
        self.docker = docker
        self.root = root
        self.runtimes: list[DockerRuntime] = []

    def runtime(self, **fields: Any) -> DockerRuntime:
        runtime = DockerRuntime(self.docker.settings(self.root, **fields))
        self.runtimes.append(runtime)
        return runtime

    async def crash(self, runtime: Runtime) -> None:
        await runtime.close()  # All it has are connections.

    def command(self, container: ContainerId) -> tuple[str, ...]:
        return ("sh", "-c", RUN)

    def says(self, text: str, exit_code: int) -> tuple[str, ...]:
        return ("sh", "-c", f"printf %s {text}; exit {exit_code}")

    def hangs(self) -> tuple[str, ...]:
        return ("sleep", "1000")

    async def end(self, container: ContainerId, exit_code: int) -> None:
        engine = self.docker.engine(str(self.root))
        pod, name = f"io.kubernetes.pod.uid={container.pod}", f"io.kubernetes.container.name={container.name}"
        attempt = f"edge.aiokubeedge.io/attempt={container.attempt}"
        try:
            (found,) = await engine.list(pod, name, attempt)
            script = f"until [ -p /end ]; do usleep 10000; done; echo {exit_code} > /end"
            async with aclosing(engine.run(await engine.exec(found, ["sh", "-c", script]))) as printed:
                assert [data async for data in printed] == []
        finally:
            await engine.close()

    async def clean(self) -> None:
        for runtime in self.runtimes:
            await runtime.close()
        engine = self.docker.engine(str(self.root))
        for container in await engine.list():
            await engine.remove(container)
        await engine.close()


@pytest.fixture
async def stage(docker: DockerEngine, tmp_path: Path) -> AsyncIterator[DockerStage]:
    stage = DockerStage(docker, tmp_path)
    yield stage
    await stage.clean()


class TestDockerRuntime(RuntimeContract):
    """The contract, with real containers."""


def test_the_contracts_image_is_the_stages() -> None:
    assert ContainerSpec(ContainerId("u", "c", 0), "", "", BUSYBOX_IMAGE, ()).image == "registry.test/web:1"  # type: ignore[arg-type]
