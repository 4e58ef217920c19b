"""Commands in process containers; what every runtime owes is in the contract."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.base import (
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExecTimedOut,
    NotRunning,
)
from edgecore.pods.runtimes.process import proc
from edgecore.pods.runtimes.process.runtime import ProcessRuntime, ProcessSettings, SupervisorLost
from protocol.objects.keys import Uid
from tests.support.waiting import aeventually

pytestmark = pytest.mark.e2e

POD = Uid("11111111-aaaa")
MAIN = ContainerId(POD, "main", 0)
FOREVER = ("sleep", "1000")
HANG = "exec sleep 1000"


class Host:
    """A process runtime, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: list[ContainerState] = []
        self.runtime = ProcessRuntime(folder / "runtime", ProcessSettings(answer_timeout_s=20))

    async def start(self, container: ContainerId = MAIN, **fields: Any) -> None:
        spec = ContainerSpec(container, "default", "web", "image", FOREVER)
        await self.runtime.start(replace(spec, **fields))

    async def sh(self, script: str, timeout_s: float = 30.0, container: ContainerId = MAIN) -> ExecResult:
        return await self.runtime.exec(container, ("sh", "-c", script), timeout_s)

    async def words(self, script: str, **fields: Any) -> tuple[int, str]:
        """Run a container to its end; return its exit code and last words."""
        await self.start(argv=("sh", "-c", script), **fields)
        await aeventually(lambda: self.ended)
        ended = self.ended.pop().exit
        assert ended is not None
        return ended.exit_code, ended.message


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path)
    await host.runtime.open(host.ended.append)
    yield host
    await host.runtime.remove_pod(POD)
    await host.runtime.close()
    await aeventually(lambda: not processes_of(tmp_path), what="processes were left behind")


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose environment names a folder below ``folder``."""
    found = []
    for pid, fields in proc.all_processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if not fields.ended and pid != os.getpid() and str(folder).encode() in environment:
            found.append(pid)
    return found


class TestCommands:
    async def test_it_is_as_the_container_is(self, host: Host) -> None:
        await host.start(environment=(("A", "b c"),), working_dir="/usr", user=1234, group=56, groups=(78,))
        said = (await host.sh('echo "$A"; pwd; id -u; id -g; id -G; cat')).output.decode()
        assert said.splitlines() == ["b c", "/usr", "1234", "56", "56 78"]

    async def test_both_streams_are_one(self, host: Host) -> None:
        await host.start()
        assert await host.sh("echo one; echo two >&2; echo three; exit 5") == ExecResult(5, b"one\ntwo\nthree\n")

    @pytest.mark.parametrize("words", [("a b", "", "c\nd", "é", "\udcff"), ("x" * 4000, "y" * 9000)])
    async def test_words_come_as_they_are(self, host: Host, words: tuple[str, ...]) -> None:
        await host.start()
        answer = await host.runtime.exec(MAIN, ("printf", "[%s]", *words), 30)
        assert answer.output == b"".join(b"[%s]" % os.fsencode(word) for word in words)

    async def test_a_command_too_long_is_refused(self, host: Host) -> None:
        await host.start()
        with pytest.raises(OSError, match="bytes"):
            await host.runtime.exec(MAIN, ("echo", "x" * 100_000), 30)

    async def test_it_may_take_longer_than_any_poll(self, host: Host) -> None:
        await host.start()
        # It takes a moment: the supervisor polls in vain once.
        assert await host.sh("sleep 0.1; printf well", 2.0**31) == ExecResult(0, b"well")

    @pytest.mark.parametrize(
        ("program", "code"), [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/etc", 126)]
    )
    async def test_a_program_that_cannot_be_executed(self, host: Host, program: str, code: int) -> None:
        await host.start()
        answer = await host.runtime.exec(MAIN, (program,), 30)
        assert answer.exit_code == code
        assert program.encode() in answer.output

    async def test_a_death_by_signal(self, host: Host) -> None:
        await host.start()
        assert (await host.sh("kill -USR1 $$")).exit_code == 128 + signal.SIGUSR1

    async def test_many_at_once(self, host: Host) -> None:
        await host.start()
        answers = await asyncio.gather(*(host.sh(f"head -c 20000 /dev/zero; exit {code}") for code in range(40)))
        assert answers == [ExecResult(code, bytes(16384)) for code in range(40)]

    async def test_output_without_end_is_read_and_dropped(self, host: Host) -> None:
        await host.start()
        with pytest.raises(ExecTimedOut):
            await host.sh("exec yes", 0.3)
        assert (await host.sh("echo still here")).output == b"still here\n"

    async def test_commands_leave_nothing_on_disk(self, host: Host) -> None:
        await host.start()
        before = sorted(host.folder.rglob("*"))
        await host.sh("true")
        assert sorted(host.folder.rglob("*")) == before


class TestEnds:
    async def test_a_hung_command_goes_with_its_whole_group(self, host: Host) -> None:
        await host.start()
        await aeventually(lambda: len(processes_of(host.folder)) == 1)
        with pytest.raises(ExecTimedOut):
            await host.sh("trap '' TERM; sleep 1000 & sleep 1000 & wait", 0.3)
        await aeventually(lambda: len(processes_of(host.folder)) == 1)

    async def test_what_a_command_leaves_in_its_group_goes_with_it(self, host: Host) -> None:
        await host.start()
        await aeventually(lambda: len(processes_of(host.folder)) == 1)
        assert (await host.sh("sleep 1000 & echo begun")).output == b"begun\n"
        await aeventually(lambda: len(processes_of(host.folder)) == 1)

    async def test_it_ends_with_its_container(self, host: Host) -> None:
        await host.start()
        await host.start(ContainerId(POD, "second", 0))
        waiting = asyncio.create_task(host.sh(HANG, 600), name="waiting")
        await aeventually(lambda: len(processes_of(host.folder)) == 3)
        await host.runtime.signal(MAIN, signal.SIGKILL)
        with pytest.raises(NotRunning):
            await waiting
        await aeventually(lambda: len(processes_of(host.folder)) == 1)

    async def test_it_ends_with_its_pod(self, host: Host) -> None:
        await host.start()
        waiting = asyncio.create_task(host.sh(HANG, 600), name="waiting")
        await aeventually(lambda: len(processes_of(host.folder)) == 2)
        await host.runtime.remove_pod(POD)
        with pytest.raises(NotRunning):
            await waiting
        assert processes_of(host.folder) == []

    async def test_it_is_ended_in_time_when_the_agent_is_gone(self, host: Host) -> None:
        await host.start()
        waiting = asyncio.create_task(host.sh(HANG, 0.5), name="waiting")
        await aeventually(lambda: len(processes_of(host.folder)) == 2)
        for pod in host.runtime._pods.values():
            host.runtime._detach(pod)  # All the kernel does for a killed agent is close its pipes.
        await asyncio.gather(waiting, return_exceptions=True)
        await aeventually(lambda: len(processes_of(host.folder)) == 1)
        host.runtime = ProcessRuntime(host.folder / "runtime", ProcessSettings(answer_timeout_s=20))
        await host.runtime.open(host.ended.append)
        assert (await host.sh("echo a new agent")).output == b"a new agent\n"

    async def test_a_supervisor_that_does_not_answer_is_not_waited_for_for_ever(self, host: Host) -> None:
        await host.start()
        supervisor = int((host.folder / "runtime" / POD / "supervisor" / "lock").read_text())
        host.runtime._settings = ProcessSettings(answer_timeout_s=0.1)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            with pytest.raises(SupervisorLost):
                await host.sh("true", 0.1)
        finally:
            os.kill(supervisor, signal.SIGCONT)
            host.runtime._settings = ProcessSettings(answer_timeout_s=20)


class TestLastWords:
    async def test_they_are_in_the_exit_and_outlast_the_agent(self, host: Host) -> None:
        assert await host.words("printf 'out of coffee' > dev/termination-log; exit 3") == (3, "out of coffee")
        await host.runtime.close()
        host.runtime = ProcessRuntime(host.folder / "runtime", ProcessSettings(answer_timeout_s=20))
        (found,) = await host.runtime.open(host.ended.append)
        assert found.exit is not None
        assert found.exit.message == "out of coffee"

    async def test_another_path_another_user_and_too_much_of_it(self, host: Host) -> None:
        script = "head -c 9000 /dev/zero | tr '\\0' x > var/said"
        assert await host.words(script, termination_path="/var/said", user=1234) == (0, "x" * 4096)

    async def test_what_is_no_text_is_made_text(self, host: Host) -> None:
        script = "printf 'a\\377\\000b' > dev/termination-log"
        assert await host.words(script) == (0, "a\ufffd b")

    @pytest.mark.parametrize(
        ("script", "from_log", "expected"),
        [
            ("echo one; echo two >&2; exit 1", True, (1, "one\ntwo\n")),
            ("echo one; exit 1", False, (1, "")),
            ("echo one", True, (0, "")),
            ("echo one; echo said > dev/termination-log; exit 1", True, (1, "said\n")),
        ],
    )
    async def test_the_log_in_place_of_them(
        self, host: Host, script: str, from_log: bool, expected: tuple[int, str]
    ) -> None:
        assert await host.words(script, termination_from_log=from_log) == expected

    async def test_a_path_that_cannot_be_made_is_done_without(self, host: Host) -> None:
        assert await host.words("exit 2", termination_path="/../up") == (2, "")

    async def test_a_secret_of_the_hosts_is_not_read_for_a_container(self, host: Host) -> None:
        secret = host.folder / "secret"
        secret.write_text("secret")
        assert await host.words(f"ln -sf {secret} dev/termination-log") == (0, "")
