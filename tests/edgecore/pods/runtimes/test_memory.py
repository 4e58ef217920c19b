from __future__ import annotations

import pytest

from edgecore.pods.runtimes.base import ContainerId, ExecResult, Runtime
from edgecore.pods.runtimes.memory import MemoryHost, MemoryRuntime
from tests.contracts.runtime import Ears, RuntimeContract, Stage, container


class MemoryStage:
    def __init__(self) -> None:
        self.host = MemoryHost(lambda: 1000.0)

    def runtime(self) -> Runtime:
        return MemoryRuntime(self.host)

    async def crash(self, runtime: Runtime) -> None:
        self.host.listener = None

    def command(self, container: ContainerId) -> tuple[str, ...]:
        return ("run",)

    def says(self, text: str, exit_code: int) -> tuple[str, ...]:
        self.host.answers["say", text] = ExecResult(exit_code, text.encode())
        return ("say", text)

    def hangs(self) -> tuple[str, ...]:
        self.host.answers["hang",] = None
        return ("hang",)

    async def end(self, container: ContainerId, exit_code: int) -> None:
        self.host.end(container, exit_code)


@pytest.fixture
def stage() -> MemoryStage:
    return MemoryStage()


class TestMemoryRuntime(RuntimeContract):
    async def test_a_reboot_ends_everything_with_an_unknown_status(self, stage: MemoryStage) -> None:
        await stage.runtime().start(self.spec(stage, container()))
        stage.host.reboot()
        (found,) = await stage.runtime().open(Ears())
        assert found.exit is not None
        assert found.exit.reason == "ContainerStatusUnknown"

    async def test_a_stubborn_container_needs_a_kill(self, stage: MemoryStage) -> None:
        stage.host.ignores_sigterm.add("main")
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(self.spec(stage, container()))
        await runtime.signal(container(), 15)
        assert stage.host.running() == [container()]
        await runtime.signal(container(), 9)
        assert (await ears.next()).id == container()


def test_the_stage_is_one() -> None:
    stage: Stage = MemoryStage()
    assert stage.command(container()) == ("run",)
