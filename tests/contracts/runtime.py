"""What every container runtime must do. A runtime's test module subclasses this and provides the ``stage``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

import pytest

from edgecore.pods.runtimes.base import (
    EXEC_OUTPUT_BYTES,
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExecTimedOut,
    NotRunning,
    Runtime,
    StartRefused,
)
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid
from tests.support.waiting import aeventually

POD = Uid("11111111-aaaa")


class Stage(Protocol):
    """A device on which a runtime can be tried."""

    def runtime(self) -> Runtime:
        """Return a new hold on the device, as a new agent would have."""

    async def crash(self, runtime: Runtime) -> None:
        """End the agent without telling anyone."""

    def command(self, container: ContainerId) -> tuple[str, ...]:
        """Return a command that runs until ``end`` is called for the instance, or SIGTERM comes."""

    def says(self, text: str, exit_code: int) -> tuple[str, ...]:
        """Return a command for ``exec`` that prints ``text`` and exits with ``exit_code``."""

    def hangs(self) -> tuple[str, ...]:
        """Return a command for ``exec`` that does not end by itself."""

    async def end(self, container: ContainerId, exit_code: int) -> None:
        """Make the instance exit by itself."""


class Ears:
    """Listens to a runtime."""

    def __init__(self) -> None:
        self.heard: list[ContainerState] = []
        self._news = asyncio.Event()

    def __call__(self, state: ContainerState) -> None:
        self.heard.append(state)
        self._news.set()

    async def next(self) -> ContainerState:
        """Return the oldest end not yet returned."""
        await aeventually(lambda: bool(self.heard), what="no end was heard of")
        return self.heard.pop(0)


def container(attempt: int = 0, name: str = "main", pod: Uid = POD) -> ContainerId:
    return ContainerId(pod, name, attempt)


class RuntimeContract:
    """The contract."""

    @staticmethod
    def spec(stage: Stage, which: ContainerId) -> ContainerSpec:
        return ContainerSpec(which, "default", "web", "registry.test/web:1", stage.command(which))

    async def test_a_new_device_has_no_instances(self, stage: Stage) -> None:
        assert list(await stage.runtime().open(Ears())) == []

    async def test_start_answers_with_a_running_instance(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        state = await runtime.start(self.spec(stage, container()))
        assert (state.id, state.image, state.exit) == (container(), "registry.test/web:1", None)
        assert state.runtime_id.startswith(f"{runtime.name}://")
        assert state.started_at > 0

    async def test_starting_an_instance_again_returns_the_one_there_is(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        first = await runtime.start(self.spec(stage, container()))
        assert await runtime.start(self.spec(stage, container())) == first

    async def test_an_exit_is_told_once_with_its_code(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        started = await runtime.start(self.spec(stage, container()))
        await stage.end(container(), 7)
        ended = await ears.next()
        assert ended.exit is not None
        assert (ended.id, ended.exit.exit_code, ended.exit.signal, ended.exit.reason) == (container(), 7, 0, "Error")
        assert replace(ended, exit=None) == started
        assert ears.heard == []

    async def test_exit_code_zero_is_completion(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(self.spec(stage, container()))
        await stage.end(container(), 0)
        ended = (await ears.next()).exit
        assert ended is not None
        assert (ended.exit_code, ended.reason) == (0, "Completed")

    @pytest.mark.parametrize("number", [15, 9])
    async def test_a_signal_ends_the_instance(self, stage: Stage, number: int) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(self.spec(stage, container()))
        await runtime.signal(container(), number)
        ended = (await ears.next()).exit
        assert ended is not None
        assert (ended.exit_code, ended.signal) == (128 + number, number)

    async def test_a_signal_to_what_is_gone_or_unknown_is_nothing(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.signal(container(), 15)
        await runtime.start(self.spec(stage, container()))
        await stage.end(container(), 0)
        await ears.next()
        await runtime.signal(container(), 15)
        assert ears.heard == []

    async def test_a_restart_is_a_new_instance_and_the_last_two_are_kept(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        for attempt in range(3):
            await runtime.start(self.spec(stage, container(attempt)))
            await stage.end(container(attempt), attempt)
            await ears.next()
        await runtime.close()
        found = await stage.runtime().open(Ears())
        assert [(state.id.attempt, state.exit and state.exit.exit_code) for state in found] == [(1, 1), (2, 2)]

    async def test_instances_outlive_a_crashed_agent_and_are_found_again(self, stage: Stage) -> None:
        first = stage.runtime()
        await first.open(Ears())
        started = await first.start(self.spec(stage, container()))
        await stage.crash(first)
        ears = Ears()
        second = stage.runtime()
        assert list(await second.open(ears)) == [started]
        await stage.end(container(), 5)
        ended = (await ears.next()).exit
        assert ended is not None
        assert ended.exit_code == 5

    async def test_an_exit_while_no_agent_was_there_is_found(self, stage: Stage) -> None:
        first = stage.runtime()
        await first.open(Ears())
        await first.start(self.spec(stage, container()))
        await stage.crash(first)
        await stage.end(container(), 42)
        found = await self.settled(stage)
        assert found.exit is not None
        assert found.exit.exit_code == 42

    @staticmethod
    async def settled(stage: Stage) -> ContainerState:
        """Return the only instance, once it has ended."""
        ears = Ears()
        found = list(await stage.runtime().open(ears))
        return found[0] if found[0].exit is not None else await ears.next()

    async def test_closing_leaves_instances_running(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        started = await runtime.start(self.spec(stage, container()))
        await runtime.close()
        assert list(await stage.runtime().open(Ears())) == [started]

    async def test_without_a_command_nothing_starts(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        with pytest.raises(StartRefused, match="command") as refusal:
            await runtime.start(ContainerSpec(container(), "default", "web", "image", ()))
        assert refusal.value.reason == "CreateContainerConfigError"
        assert list(await stage.runtime().open(Ears())) == []

    async def test_removing_a_pod_leaves_nothing_of_it_and_the_others_alone(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        other = container(pod=Uid("22222222-bbbb"))
        kept = await runtime.start(self.spec(stage, other))
        await runtime.start(self.spec(stage, container()))
        await runtime.start(self.spec(stage, container(name="second")))
        await runtime.remove_pod(POD)
        await runtime.remove_pod(POD)
        await runtime.close()
        assert list(await stage.runtime().open(Ears())) == [kept]

    @pytest.mark.parametrize("code", [0, 3])
    async def test_a_command_run_inside_answers_with_its_code_and_output(self, stage: Stage, code: int) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        await runtime.start(self.spec(stage, container()))
        assert await runtime.exec(container(), stage.says("well", code), 30) == ExecResult(code, b"well")

    async def test_the_output_of_a_command_is_bounded(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        await runtime.start(self.spec(stage, container()))
        answer = await runtime.exec(container(), stage.says("x" * (EXEC_OUTPUT_BYTES + 5000), 0), 30)
        assert answer == ExecResult(0, b"x" * EXEC_OUTPUT_BYTES)

    async def test_a_command_that_hangs_is_ended_and_the_instance_goes_on(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(self.spec(stage, container()))
        with pytest.raises(ExecTimedOut):
            await runtime.exec(container(), stage.hangs(), 0.2)
        assert (await runtime.exec(container(), stage.says("here", 0), 30)).output == b"here"
        assert ears.heard == []

    async def test_nothing_is_run_in_what_is_unknown_or_has_ended(self, stage: Stage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        with pytest.raises(NotRunning):
            await runtime.exec(container(), stage.says("well", 0), 30)
        await runtime.start(self.spec(stage, container()))
        await stage.end(container(), 0)
        await ears.next()
        with pytest.raises(NotRunning):
            await runtime.exec(container(), stage.says("well", 0), 30)

    async def test_what_containers_share_is_made_once_and_may_be_let_go_of_twice(self, stage: Stage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        shared = SandboxSpec(POD, "default", "web")
        assert await runtime.prepare(shared) == await runtime.prepare(shared)
        await runtime.release_pod(POD)
        await runtime.release_pod(POD)
        await runtime.remove_pod(POD)
        assert list(await stage.runtime().open(Ears())) == []
