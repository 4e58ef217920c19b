"""How a pod's first container and its sandbox come about at once, against an engine of the test's making."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, StartRefused
from edgecore.pods.runtimes.docker import labels, pause
from edgecore.pods.runtimes.docker.engine import About, Engine, EngineError
from edgecore.pods.runtimes.docker.runtime import DockerRuntime
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid
from tests.contracts.runtime import Ears

pytestmark = pytest.mark.looptime

POD = Uid("u1")
MAIN = ContainerId(POD, "main", 0)
IMAGE = "registry.test/app:1"
SANDBOX_STARTS_S = 3.0


class Containers:
    """An engine whose sandboxes take their time to start.

    Attributes:
        done: What was done, in order.
        refusals: Sandboxes that are still to be refused their start.
        refuses: Whether no container can be created.
    """

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.done: list[str] = []
        self.known_images = {pause.NAME, IMAGE}
        self.refusals = 0
        self.refuses = False

    async def about(self) -> About:
        return About("1", "amd64", podman=False, folder="/")

    async def close(self) -> None:
        self.done.append("close")

    async def events(self, since: float) -> AsyncGenerator[Mapping[str, Any], None]:
        await asyncio.Event().wait()
        yield {}

    async def images(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    async def used_images(self) -> set[str]:
        return set()

    async def image(self, name: str) -> Mapping[str, Any] | None:
        return {"Id": f"sha256:{name}", "Config": {"Cmd": ["run"]}} if name in self.known_images else None

    async def list(self, *more_labels: str) -> list[str]:
        return list(self.held)

    async def inspect(self, docker_id: str) -> Mapping[str, Any] | None:
        return self.held.get(docker_id)

    async def create(self, config: Mapping[str, Any], name: str) -> str:
        tags = config["Labels"]
        sandbox = tags[labels.TYPE] == labels.SANDBOX
        if not sandbox and (self.refuses or config["HostConfig"]["NetworkMode"][10:] not in self.held):
            raise EngineError(404, "No such container")
        docker_id = f"{'box' if sandbox else tags[labels.CONTAINER_NAME]}-{len(self.done)}"
        self.done.append(f"create {docker_id.partition('-')[0]}")
        self.held[docker_id] = {"Id": docker_id, "Name": name, "Config": {"Labels": tags}, "State": {}}
        return docker_id

    async def start(self, docker_id: str) -> None:
        self.done.append(f"start {docker_id.partition('-')[0]}")
        if docker_id.startswith("box"):
            await asyncio.sleep(SANDBOX_STARTS_S)
            if self.refusals:
                self.refusals -= 1
                raise EngineError(500, "there was an EOF")
            self.held[docker_id]["NetworkSettings"] = {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}
        self.done.append(f"started {docker_id.partition('-')[0]}")
        self.held[docker_id]["State"] = {"Running": True, "StartedAt": "2026-11-23T10:00:00Z"}

    async def remove(self, which: str) -> None:
        for docker_id in [each for each, body in self.held.items() if which in (each, body["Name"])]:
            self.done.append(f"remove {docker_id.partition('-')[0]}")
            del self.held[docker_id]


@pytest.fixture
def engine() -> Containers:
    return Containers()


def opened(engine: Containers, folder: Path, **settings: Any) -> DockerRuntime:
    chosen = DockerSettings("unix:///none.sock", "owner", folder, garbage_every_s=1e9, **settings)
    return DockerRuntime(chosen, engine=cast(Engine, engine))


@pytest.fixture
async def runtime(engine: Containers, tmp_path: Path) -> AsyncIterator[DockerRuntime]:
    runtime = opened(engine, tmp_path)
    await runtime.open(Ears())
    yield runtime
    await runtime.close()


def spec(which: ContainerId = MAIN, image: str = IMAGE) -> ContainerSpec:
    shared = SandboxSpec(POD, "default", "web")
    return ContainerSpec(which, "default", "web", image, ("run",), pull_policy="Never", sandbox=shared)


async def test_a_first_container_is_created_while_its_sandbox_starts(
    engine: Containers, runtime: DockerRuntime
) -> None:
    state = await runtime.start(spec())
    assert engine.done == [
        "create box",
        "start box",
        "create main",
        "started box",
        "start main",
        "started main",
    ]
    assert state.address == "172.17.0.2"


async def test_a_second_one_joins_the_sandbox_that_runs(engine: Containers, runtime: DockerRuntime) -> None:
    await runtime.start(spec())
    engine.done.clear()
    await runtime.start(spec(ContainerId(POD, "other", 0)))
    assert engine.done == ["create other", "start other", "started other"]


async def test_the_next_agent_finds_the_address_too(engine: Containers, runtime: DockerRuntime, tmp_path: Path) -> None:
    await runtime.start(spec())
    later = opened(engine, tmp_path)
    (found,) = await later.open(Ears())
    assert (found.id, found.address) == (MAIN, "172.17.0.2")
    await later.close()


async def test_a_sandbox_that_starts_as_another_gets_a_container_of_its_own(
    engine: Containers, runtime: DockerRuntime
) -> None:
    engine.refusals = 1  # as where oom_score_adj may not be lowered: the second one asks for less
    await runtime.start(spec())
    boxes = [each for each in engine.held if each.startswith("box")]
    assert len(boxes) == 1
    assert engine.done.count("create main") == 2
    assert engine.done[-2:] == ["start main", "started main"]


async def test_without_a_sandbox_no_container_is_left(engine: Containers, runtime: DockerRuntime) -> None:
    engine.refusals = 2
    with pytest.raises(StartRefused, match="Failed to create pod sandbox: there was an EOF") as refusal:
        await runtime.start(spec())
    assert refusal.value.reason == "CreatePodSandboxError"
    assert engine.held == {}


async def test_an_image_that_is_not_there_is_refused_once_and_the_sandbox_kept(
    engine: Containers, runtime: DockerRuntime
) -> None:
    engine.refusals = 1
    said: list[str] = []

    async def tell(reason: str, message: str, warning: bool) -> None:
        said.append(reason)

    with pytest.raises(StartRefused) as refusal:
        await runtime.start(spec(image="registry.test/none:1"), tell)
    assert refusal.value.reason == "ErrImageNeverPull"
    assert said == ["ErrImageNeverPull"]
    engine.done.clear()
    await runtime.start(spec())
    assert engine.done == ["create main", "start main", "started main"]


async def test_a_container_that_cannot_be_made_is_refused(engine: Containers, runtime: DockerRuntime) -> None:
    engine.refuses = True
    with pytest.raises(StartRefused, match="No such container") as refusal:
        await runtime.start(spec())
    assert refusal.value.reason == "CreateContainerError"


@pytest.mark.parametrize(("network", "own"), [("bridge", True), ("pods", True), ("host", False), ("none", False)])
def test_which_networks_are_the_pods_own(engine: Containers, tmp_path: Path, network: str, own: bool) -> None:
    assert opened(engine, tmp_path, network=network).own_networks is own
