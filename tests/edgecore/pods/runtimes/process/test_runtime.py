from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ContainerState, Mount, Runtime, StartRefused
from edgecore.pods.runtimes.process import launch, proc, records, supervisor
from edgecore.pods.runtimes.process import runtime as runtimes
from edgecore.pods.runtimes.process.folders import PodFolder
from edgecore.pods.runtimes.process.runtime import PACKAGE_ROOT, ProcessRuntime, ProcessSettings, SupervisorLost
from edgecore.pods.runtimes.specs import Security
from protocol.filelock import FileLock
from protocol.objects.keys import Uid
from tests.contracts.runtime import POD, Ears, RuntimeContract, container
from tests.support.waiting import aeventually, eventually

pytestmark = pytest.mark.e2e


class ProcessStage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "runtime"
        self.runtimes: list[ProcessRuntime] = []

    def runtime(self) -> ProcessRuntime:
        runtime = ProcessRuntime(self.root, ProcessSettings(answer_timeout_s=20))
        self.runtimes.append(runtime)
        return runtime

    async def crash(self, runtime: Runtime) -> None:
        assert isinstance(runtime, ProcessRuntime)
        for pod in runtime._pods.values():
            runtime._detach(pod)  # All the kernel does for a killed agent is close its pipes.

    def command(self, container: ContainerId) -> tuple[str, ...]:
        fifo = self.fifo(container)
        os.mkfifo(fifo) if not fifo.exists() else None
        return ("sh", "-c", 'read code < "$0"; exit $code', str(fifo))

    def says(self, text: str, exit_code: int) -> tuple[str, ...]:
        return ("sh", "-c", 'printf %s "$0"; exit $1', text, str(exit_code))

    def hangs(self) -> tuple[str, ...]:
        return ("sh", "-c", "sleep 1000 & sleep 1000")

    def fifo(self, container: ContainerId) -> Path:
        return self.folder / "-".join(map(str, container))

    async def end(self, container: ContainerId, exit_code: int) -> None:
        await asyncio.to_thread(self.fifo(container).write_text, f"{exit_code}\n")

    def supervisor(self, pod: Uid = POD) -> int:
        return int((self.root / pod / "supervisor" / "lock").read_text())

    async def clean(self) -> None:
        for runtime in self.runtimes:
            await runtime.close()
        locks = self.root.glob("*/supervisor/lock")
        supervisors = [self.supervisor(Uid(path.parent.parent.name)) for path in locks]
        last = ProcessRuntime(self.root)
        await last.open(Ears())
        for path in list(self.root.iterdir()):
            await last.remove_pod(Uid(path.name))
        await last.close()
        await aeventually(lambda: not any(_alive(pid) for pid in supervisors), what="a supervisor was left behind")
        marker = str(self.folder).encode()
        assert [pid for pid in _pids() if pid != os.getpid() and marker in _environ(pid)] == []


def _pids() -> list[int]:
    return [pid for pid, fields in proc.all_processes() if not fields.ended]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _waiting_bytes(pipe: int) -> int:
    """Return how many bytes lie unread in a pipe."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ProcessStage]:
    stage = ProcessStage(tmp_path)
    stage.root.mkdir()
    yield stage
    await stage.clean()


@pytest.fixture
def bystander() -> Iterator[int]:
    """The pid of a process that is none of the runtime's business."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


async def run(
    stage: ProcessStage, *argv: str, settings: ProcessSettings | None = None, **fields: object
) -> tuple[ContainerState, ProcessRuntime]:
    """Run a command to its end."""
    runtime, ears = ProcessRuntime(stage.root, settings), Ears()
    stage.runtimes.append(runtime)
    await runtime.open(ears)
    await runtime.start(replace(ContainerSpec(container(), "default", "web", "image", argv), **fields))  # type: ignore[arg-type]
    return await ears.next(), runtime


def lines(path: Path | None) -> list[tuple[str, str, str]]:
    """Return stream, tag and text of each line of a log, having checked the timestamps."""
    assert path is not None
    parts = [line.split(" ", 3) for line in path.read_text().splitlines()]
    stamps = [part[0] for part in parts]
    assert stamps == sorted(stamps)
    assert all(len(stamp) == len("2026-11-23T12:00:00.000000000Z") for stamp in stamps)
    return [(part[1], part[2], part[3]) for part in parts]


class TestProcessRuntime(RuntimeContract):
    """The contract, with real processes."""


class TestContainers:
    @pytest.mark.skipif(os.geteuid() != 0, reason="an agent that is not root runs nothing as root")
    async def test_what_must_not_be_root_and_states_no_user_is_refused(self, stage: ProcessStage) -> None:
        with pytest.raises(StartRefused, match="runAsNonRoot"):
            await run(stage, "true", security=Security(run_as_non_root=True))

    async def test_output_lands_in_the_log(self, stage: ProcessStage) -> None:
        state, runtime = await run(stage, "sh", "-c", "echo out; sleep 0.01; echo err >&2; sleep 0.01; printf rest")
        assert state.exit is not None
        expected = [("stdout", "F", "out"), ("stderr", "F", "err"), ("stdout", "P", "rest")]
        await aeventually(lambda: len(lines(runtime.log_path(container()))) == 3)
        assert lines(runtime.log_path(container())) == expected

    async def test_logs_rotate(self, stage: ProcessStage) -> None:
        settings = ProcessSettings(log_bytes=4096, log_files=3)
        script = "i=0; while [ $i -lt 2000 ]; do echo line-$i; i=$((i+1)); done"
        _, runtime = await run(stage, "sh", "-c", script, settings=settings)
        path = runtime.log_path(container())
        assert path is not None
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["0.log", "0.log.1", "0.log.2"]
        assert lines(path)[-1] == ("stdout", "F", "line-1999")

    async def test_nothing_of_the_agents_environment_is_inherited(
        self, stage: ProcessStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AGENTS_SECRET", "x")
        _, runtime = await run(stage, "env", environment=(("A", "1=2"), ("B", "line\nbreak")))
        text = "\n".join(line[2] for line in lines(runtime.log_path(container())))
        assert "AGENTS_SECRET" not in text
        assert "A=1=2" in text
        assert f"VOLUME_ROOT={stage.root}/{POD}/containers/main/root" in text

    async def test_a_missing_program_is_a_start_error(self, stage: ProcessStage) -> None:
        state, _ = await run(stage, "no-such-program")
        assert state.exit is not None
        assert (state.exit.exit_code, state.exit.reason) == (128, "StartError")
        assert "no-such-program" in state.exit.message

    async def test_signals_are_not_ignored_as_python_does(self, stage: ProcessStage) -> None:
        _, runtime = await run(stage, "sh", "-c", "yes | head -n 1; trap")
        assert lines(runtime.log_path(container())) == [("stdout", "F", "y")]

    async def test_stdin_is_empty_and_the_process_leads_its_session(self, stage: ProcessStage) -> None:
        _, runtime = await run(stage, "sh", "-c", 'cat; cut -d" " -f1,6 /proc/$$/stat')
        ((_, _, text),) = lines(runtime.log_path(container()))
        pid, session = text.split()
        assert pid == session

    async def test_volumes_appear_below_the_containers_folder(self, stage: ProcessStage) -> None:
        volume = stage.folder / "volume"
        volume.mkdir()
        (volume / "key").write_text("hello\n")
        mounts = (Mount(volume, "/etc/app"), Mount(volume / "key", "/etc/one.conf"))
        _, runtime = await run(stage, "sh", "-c", 'cat etc/one.conf "$VOLUME_ROOT/etc/app/key"', mounts=mounts)
        assert [line[2] for line in lines(runtime.log_path(container()))] == ["hello", "hello"]

    async def test_working_folders(self, stage: ProcessStage) -> None:
        _, runtime = await run(stage, "pwd", working_dir="/usr")
        assert lines(runtime.log_path(container()))[0][2] == "/usr"

    @pytest.mark.parametrize("path", ["/../up", "a/../../b", "/"])
    async def test_a_mount_cannot_leave_the_containers_folder(self, stage: ProcessStage, path: str) -> None:
        with pytest.raises(StartRefused, match="mountPath"):
            await run(stage, "true", mounts=(Mount(stage.folder, path),))

    async def test_a_uid_cannot_leave_the_root(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        for uid in ("../up", "..", "a/b", ""):
            with pytest.raises(StartRefused, match="folder"):
                await runtime.start(ContainerSpec(container(pod=Uid(uid)), "d", "p", "i", ("true",)))

    @pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
    async def test_it_runs_as_the_user_it_states(self, stage: ProcessStage) -> None:
        for folder in [stage.folder, *stage.folder.parents][:3]:
            folder.chmod(folder.stat().st_mode | 0o711)
        script = "id -u; id -g; id -G; echo made > file"
        _, runtime = await run(stage, "sh", "-c", script, user=1234, group=99, groups=(77,))
        assert [line[2] for line in lines(runtime.log_path(container()))] == ["1234", "99", "99 77"]
        made = stage.root / POD / "containers/main/root/file"
        assert made.stat().st_uid == 1234

    async def test_an_agent_that_is_not_root_refuses_another_user(
        self, stage: ProcessStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(StartRefused, match="runs as user 1000"):
            await run(stage, "true", user=1234)

    async def test_the_whole_group_goes_with_its_leader(self, stage: ProcessStage) -> None:
        pids = stage.folder / "pids"
        await run(stage, "sh", "-c", f"sleep 1000 & echo $! > {pids}; exit 3")
        child = int(pids.read_text())
        await aeventually(lambda: not _alive(child))

    async def test_a_daemon_that_left_the_group_goes_with_the_pod(self, stage: ProcessStage) -> None:
        pids = stage.folder / "pids"
        script = (
            f"setsid sh -c 'echo $$ > {pids}; exec sleep 1000' & while [ ! -s {pids} ]; do sleep 0.01; done; exit 0"
        )
        await run(stage, "sh", "-c", script)
        pid = int(pids.read_text())
        await aeventually(lambda: not _alive(pid))


class TestSupervision:
    async def test_a_killed_supervisor_takes_its_containers_along_and_that_is_told(self, stage: ProcessStage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(RuntimeContract.spec(stage, container()))
        pid = running_pid(stage)
        os.kill(stage.supervisor(), signal.SIGKILL)
        ended = (await ears.next()).exit
        assert ended is not None
        assert (ended.exit_code, ended.reason) == (137, "ContainerStatusUnknown")
        await aeventually(lambda: not _alive(pid))
        again = await runtime.start(RuntimeContract.spec(stage, container(1)))
        assert again.exit is None

    async def test_a_supervisor_that_leaves_just_as_it_is_asked_is_replaced(self, stage: ProcessStage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(RuntimeContract.spec(stage, container()))
        await stage.end(container(), 0)
        await ears.next()
        first = stage.supervisor()
        os.kill(first, signal.SIGSTOP)
        requests = runtime._pods[POD].requests
        os.write(requests, b"quit\n")
        starting = asyncio.ensure_future(runtime.start(RuntimeContract.spec(stage, container(1))))
        # Both requests lie in the pipe when the supervisor wakes: it reads them at once.
        await aeventually(lambda: _waiting_bytes(requests) > len(b"quit\n"))
        os.kill(first, signal.SIGCONT)
        assert (await starting).exit is None
        assert stage.supervisor() != first

    async def test_a_supervisor_that_came_up_for_a_killed_agent_is_taken_over(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        folder = PodFolder(stage.root, POD)
        folder.make()
        argv = launch.command("launch", str(PACKAGE_ROOT), str(folder.path))
        said = await asyncio.to_thread(subprocess.check_output, argv, stdin=subprocess.DEVNULL)
        first = stage.supervisor()
        assert said == supervisor.READY
        assert (await runtime.start(RuntimeContract.spec(stage, container()))).exit is None
        assert stage.supervisor() == first

    async def test_a_supervisor_that_holds_the_lock_without_serving_is_asked_after_again(
        self, stage: ProcessStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = PodFolder(stage.root, POD)
        folder.make()
        holder = FileLock(folder.path / "supervisor" / "lock")
        said = []

        def start(argv: list[str]) -> bytes:
            said.append(run_detached(argv))
            holder.release()
            return said[-1]

        run_detached = runtimes._run_detached
        monkeypatch.setattr(runtimes, "_run_detached", start)
        runtime = stage.runtime()
        await runtime.open(Ears())
        assert (await runtime.start(RuntimeContract.spec(stage, container()))).exit is None
        assert said == [supervisor.TAKEN, supervisor.READY]

    async def test_a_supervisor_that_ends_as_soon_as_it_is_started_is_noticed(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        folder = PodFolder(stage.root, POD)
        folder.make()
        lock = folder.path / "supervisor" / "lock"
        lock.mkdir()
        with pytest.raises(SupervisorLost, match="ended as soon as it was started"):
            await runtime.start(RuntimeContract.spec(stage, container()))
        lock.rmdir()
        assert (await runtime.start(RuntimeContract.spec(stage, container()))).exit is None

    async def test_a_supervisor_of_nothing_leaves_with_the_agent_and_one_of_something_stays(
        self, stage: ProcessStage
    ) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(RuntimeContract.spec(stage, container()))
        busy = running_pid(stage)
        await runtime.close()
        assert _alive(busy)
        assert _alive(stage.supervisor())
        again = stage.runtime()
        await again.open(ears)
        await stage.end(container(), 0)
        await ears.next()
        idle = stage.supervisor()
        await again.close()
        await aeventually(lambda: not _alive(idle), within_s=5)

    async def test_a_supervisor_killed_while_no_agent_was_there_is_noticed(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        await runtime.start(RuntimeContract.spec(stage, container()))
        pid = running_pid(stage)
        await runtime.close()
        os.kill(stage.supervisor(), signal.SIGKILL)
        await aeventually(lambda: not _alive(stage.supervisor()))
        (found,) = await stage.runtime().open(Ears())
        assert found.exit is not None
        assert found.exit.reason == "ContainerStatusUnknown"
        await aeventually(lambda: not _alive(pid))

    async def test_a_pid_that_belongs_to_another_is_neither_adopted_nor_killed(
        self, stage: ProcessStage, bystander: int
    ) -> None:
        found = proc.stat(bystander)
        assert found is not None
        self.forge(stage, proc.boot_id(), bystander, found.start_time - 1)
        (state,) = await stage.runtime().open(Ears())
        assert state.exit is not None
        assert _alive(bystander)

    async def test_what_ran_before_a_reboot_has_ended(self, stage: ProcessStage, bystander: int) -> None:
        found = proc.stat(bystander)
        assert found is not None
        self.forge(stage, "another-boot", bystander, found.start_time)
        (state,) = await stage.runtime().open(Ears())
        assert state.exit is not None
        assert "restarted" in state.exit.message
        assert _alive(bystander)

    @staticmethod
    def forge(stage: ProcessStage, boot: str, pid: int, start: int) -> None:
        folder = PodFolder(stage.root, POD)
        folder.make()
        instance = folder.instance(container())
        instance.mkdir(parents=True)
        fields = [("boot", boot), ("pid", str(pid)), ("start", str(start)), ("image", "i"), ("at", "1.0")]
        records.write(str(instance / records.RUNNING), fields)

    async def test_a_folder_that_cannot_be_read_hurts_no_other(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        started = await runtime.start(RuntimeContract.spec(stage, container()))
        await runtime.close()
        torn = stage.root / "torn" / "containers" / "main" / "0"
        torn.mkdir(parents=True)
        (torn / "running").write_bytes(b"boot\0")
        assert list(await stage.runtime().open(Ears())) == [started]

    async def test_the_supervisor_is_small(self, stage: ProcessStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        await runtime.start(RuntimeContract.spec(stage, container()))
        usage = Path(f"/proc/{stage.supervisor()}/smaps_rollup").read_text().split()
        anonymous_kib = int(usage[usage.index("Anonymous:") + 1])
        assert anonymous_kib < 6 * 1024


AGENT = """
import asyncio, sys
from pathlib import Path
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec
from edgecore.pods.runtimes.process.runtime import ProcessRuntime

async def main(root, fifo):
    runtime = ProcessRuntime(Path(root))
    await runtime.open(lambda state: None)
    command = ("sh", "-c", 'read code < "$0"; echo over; exit $code', fifo)
    await runtime.start(ContainerSpec(ContainerId("11111111-aaaa", "main", 0), "default", "web", "image", command))
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


def run_and_kill_an_agent(argv: list[str]) -> None:
    agent = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert agent.stdout is not None
    with agent.stdout:
        assert agent.stdout.readline() == "up\n"
    # Its whole process group, as a service manager or a terminal would.
    os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()


async def test_a_container_outlives_the_agents_kill_and_its_exit_is_true(stage: ProcessStage) -> None:
    stage.command(container())
    argv = [sys.executable, "-c", AGENT, str(stage.root), str(stage.fifo(container()))]
    await asyncio.to_thread(run_and_kill_an_agent, argv)
    pid = running_pid(stage)
    assert _alive(pid)
    await stage.end(container(), 42)
    eventually(lambda: not _alive(pid))
    found = await RuntimeContract.settled(stage)
    assert found.exit is not None
    assert found.exit.exit_code == 42
    assert lines(stage.runtime().log_path(container())) == [("stdout", "F", "over")]


def running_pid(stage: ProcessStage) -> int:
    record = records.read(str(PodFolder(stage.root, POD).instance(container()) / records.RUNNING))
    assert record is not None
    return int(record["pid"])


def _alive(pid: int) -> bool:
    found = proc.stat(pid)
    return found is not None and not found.ended
