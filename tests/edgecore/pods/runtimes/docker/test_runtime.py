from __future__ import annotations

import asyncio
import os
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.base import (
    ContainerId,
    ContainerSpec,
    ContainerState,
    Mount,
    Runtime,
    RuntimeUnavailable,
    StartRefused,
)
from edgecore.pods.runtimes.docker import labels, states
from edgecore.pods.runtimes.docker.runtime import DockerRuntime
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import Credentials, Dns, HostAlias, HostPort, Resources, SandboxSpec, Security
from tests.contracts.runtime import POD, Ears, RuntimeContract, container
from tests.support.controlgroups import GroupBench, missing
from tests.support.dockers import BUSYBOX_IMAGE, PAGE, WEB_IMAGE, DockerEngine
from tests.support.imageregistry import image_registry
from tests.support.waiting import aeventually

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
        for found in await engine.list():
            await engine.remove(found)
        await engine.close()


@pytest.fixture
async def stage(docker: DockerEngine, tmp_path: Path) -> AsyncIterator[DockerStage]:
    stage = DockerStage(docker, tmp_path)
    yield stage
    await stage.clean()


class TestDockerRuntime(RuntimeContract):
    """The contract, with real containers."""


async def run(stage: DockerStage, script: str = "", **fields: Any) -> tuple[ContainerState, str]:
    """Run a container to its end and return its state and what it printed."""
    runtime, ears = stage.runtime(), Ears()
    await runtime.open(ears)
    argv = ("sh", "-c", script) if script else ()
    spec = replace(ContainerSpec(container(), "default", "web", BUSYBOX_IMAGE, argv), **fields)
    await runtime.start(spec)
    ended = await ears.next()
    return ended, await printed(runtime)


async def printed(runtime: DockerRuntime, which: ContainerId | None = None) -> str:
    """Return the log without its times."""
    text = "".join([part async for part in runtime.read_log(which or container())])
    return "".join(f"{line.partition(' ')[2]}\n" for line in text.splitlines())


def sandbox(**fields: Any) -> SandboxSpec:
    return replace(SandboxSpec(POD, "default", "web", hostname="front"), **fields)


class TestContainers:
    async def test_the_images_own_command_and_arguments(self, stage: DockerStage) -> None:
        entry = "registry.test/entry:1"
        assert (await run(stage, image=entry))[1] == "entry command\n"

    async def test_arguments_replace_the_images(self, stage: DockerStage) -> None:
        assert (await run(stage, image="registry.test/entry:1", arguments=("mine",)))[1] == "entry mine\n"

    async def test_a_command_replaces_both(self, stage: DockerStage) -> None:
        assert (await run(stage, image="registry.test/entry:1", argv=("echo", "other")))[1] == "other\n"

    async def test_user_groups_folder_and_environment(self, stage: DockerStage) -> None:
        fields: dict[str, Any] = {"user": 1000, "group": 2000, "groups": (3000,), "working_dir": "/tmp"}
        fields["environment"] = (("A", "1 2"),)
        _, said = await run(stage, "id -u; id -g; id -G; pwd; echo $A", **fields)
        assert said.splitlines() == ["1000", "2000", "2000 3000", "/tmp", "1 2"]

    async def test_volumes_are_there_and_read_only_ones_are(self, stage: DockerStage, tmp_path: Path) -> None:
        for name in ("rw", "ro"):
            (tmp_path / name).mkdir()
        (tmp_path / "ro" / "file").write_text("content\n")
        mounts = (Mount(tmp_path / "rw", "/rw"), Mount(tmp_path / "ro", "/ro", read_only=True))
        _, said = await run(stage, "cat /ro/file > /rw/copy; echo x > /ro/y || echo refused", mounts=mounts)
        assert (tmp_path / "rw" / "copy").read_text() == "content\n"
        assert "refused" in said.splitlines()

    async def test_security(self, stage: DockerStage) -> None:
        security = Security(read_only_root=True, no_new_privileges=True, capabilities_drop=("ALL",))
        script = "echo x > /x || echo refused; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status"
        _, said = await run(stage, script, security=security)
        assert "refused" in said
        assert {"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"} <= set(said.splitlines())

    async def test_without_seccomp_and_with_a_capability(self, stage: DockerStage) -> None:
        security = Security(seccomp="Unconfined", capabilities_drop=("ALL",), capabilities_add=("NET_ADMIN",))
        _, said = await run(stage, "grep -E 'CapEff|Seccomp:' /proc/self/status", security=security)
        assert set(said.splitlines()) == {"CapEff:\t0000000000001000", "Seccomp:\t0"}

    async def test_an_image_of_a_named_user_may_be_root(self, stage: DockerStage) -> None:
        with pytest.raises(StartRefused, match="non-numeric user"):
            await run(stage, image="registry.test/named-user:1", security=Security(run_as_non_root=True))

    @pytest.mark.parametrize("profile", ["localhost/missing.json", "localhost/../../etc/passwd"])
    async def test_a_profile_that_is_not_there(self, stage: DockerStage, profile: str) -> None:
        with pytest.raises(StartRefused, match="cannot load seccomp profile"):
            await run(stage, "true", security=Security(seccomp=profile))

    async def test_its_last_word(self, stage: DockerStage) -> None:
        ended, _ = await run(stage, "echo -n farewell > /dev/termination-log; exit 1")
        assert ended.exit is not None
        assert ended.exit.message == "farewell"

    async def test_the_end_of_its_log_in_place_of_a_last_word(self, stage: DockerStage) -> None:
        ended, _ = await run(stage, "echo out; echo err >&2; exit 1", termination_from_log=True)
        assert ended.exit is not None
        assert sorted(ended.exit.message.split()) == ["err", "out"]

    async def test_a_program_that_is_not_there_leaves_no_container(self, stage: DockerStage) -> None:
        with pytest.raises(StartRefused, match="no such file or directory") as refusal:
            await run(stage, argv=("/no/such",))
        assert refusal.value.reason == "RunContainerError"
        assert list(await stage.runtime().open(Ears())) == []

    async def test_a_fork_bomb_stays_within_its_bound(self, stage: DockerStage) -> None:
        script = "n=0; while [ $n -lt 60 ]; do sleep 5 & n=$((n+1)); done; echo done"
        ended, said = await run(stage, script, resources=Resources(pids_limit=20))
        assert "done" not in said
        assert ended.exit is not None
        assert ended.exit.exit_code != 0

    async def test_logs_are_rotated_within_their_bound(self, stage: DockerStage) -> None:
        runtime, ears = stage.runtime(log_bytes=20_000, log_files=2), Ears()
        await runtime.open(ears)
        script = "n=0; while [ $n -lt 3000 ]; do echo line-$n-xxxxxxxxxxxxxxxxxxxx; n=$((n+1)); done"
        await runtime.start(ContainerSpec(container(), "default", "web", BUSYBOX_IMAGE, ("sh", "-c", script)))
        await ears.next()
        said = await printed(runtime)
        assert "line-2999-" in said
        assert "line-0-" not in said
        tail = [part async for part in runtime.read_log(container(), tail=1)]
        assert "line-2999-" in "".join(tail)

    async def test_the_log_of_what_is_unknown_is_empty(self, stage: DockerStage) -> None:
        assert await printed(stage.runtime()) == ""


class TestSandboxes:
    async def test_containers_of_a_pod_share_network_ipc_and_names(self, stage: DockerStage) -> None:
        spec = sandbox(host_aliases=(HostAlias("10.1.1.1", ("database",)),), dns=Dns(False, ("10.9.9.9",), ("a.test",)))
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        address = await runtime.prepare(spec)
        assert IPv4Address(address) in stage.docker.network
        show = "hostname; grep database /etc/hosts; cat /etc/resolv.conf; ls -l /proc/self/ns/net /proc/self/ns/ipc"
        said = []
        for name in ("one", "two"):
            which = container(name=name)
            argv = ("sh", "-c", show.replace("hostname", "cat /proc/sys/kernel/hostname"))
            state = await runtime.start(ContainerSpec(which, "default", "web", BUSYBOX_IMAGE, argv, sandbox=spec))
            assert state.address == address
            await ears.next()
            said.append(await printed(runtime, which))
        namespaces = [[line.rpartition(" ")[2] for line in text.splitlines() if "->" in line] for text in said]
        assert namespaces[0] == namespaces[1]
        lines = said[0].splitlines()
        assert lines[0] == "front"
        assert lines[1].split() == ["10.1.1.1", "database"]
        assert {"nameserver 10.9.9.9", "search a.test"} <= set(lines)

    async def test_on_the_hosts_network(self, stage: DockerStage) -> None:
        spec = sandbox(host_network=True)
        _, said = await run(stage, "ls -l /proc/self/ns/net", sandbox=spec)
        assert os.readlink("/proc/self/ns/net") in said

    async def test_shared_processes_are_seen_and_reaped(self, stage: DockerStage) -> None:
        _, said = await run(stage, "echo $$; (sleep 0 &); sleep 1; ps", sandbox=sandbox(share_processes=True))
        assert said.splitlines()[0] != "1"
        assert "/pause" in said
        assert "[sleep]" not in said, "a zombie was left"

    async def test_a_port_of_the_host_leads_to_the_pod(self, stage: DockerStage) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        runtime = stage.runtime()
        await runtime.open(Ears())
        spec = sandbox(ports=(HostPort(port, 80, host_ip="127.0.0.1"),))
        await runtime.start(ContainerSpec(container(), "default", "web", WEB_IMAGE, (), sandbox=spec))
        url = f"http://127.0.0.1:{port}/"
        assert await aeventually(lambda: asyncio.to_thread(_fetch, url)) == PAGE

    async def test_a_pod_that_loses_its_sandbox_is_ended_and_gets_a_new_one(self, stage: DockerStage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        await runtime.start(TestDockerRuntime.spec(stage, container()))
        engine = stage.docker.engine(str(stage.root))
        (found,) = await engine.list("io.kubernetes.docker.type=podsandbox")
        await engine.kill(found, "SIGKILL")
        ended = (await ears.next()).exit
        assert ended is not None
        assert ended.exit_code == 137
        state = await runtime.start(TestDockerRuntime.spec(stage, container(1)))
        assert (state.exit, bool(state.address)) == (None, True)
        await engine.close()

    async def test_a_pod_that_runs_nothing_any_more_keeps_its_records_alone(self, stage: DockerStage) -> None:
        ended, _ = await run(stage, "exit 4")
        runtime = stage.runtimes[-1]
        await runtime.release_pod(POD)
        await runtime.release_pod(POD)
        engine = stage.docker.engine(str(stage.root))
        (found,) = await engine.list("io.kubernetes.docker.type=podsandbox")
        inspected = await engine.inspect(found)
        assert inspected is not None
        assert not inspected["State"]["Running"]
        await engine.close()
        assert list(await stage.runtime().open(Ears())) == [ended]

    async def test_what_an_agent_left_half_made_is_cleared_away(self, stage: DockerStage) -> None:
        first = stage.runtime()
        await first.open(Ears())
        await first.start(TestDockerRuntime.spec(stage, container()))
        await first.close()
        engine = stage.docker.engine(str(stage.root))
        spec = TestDockerRuntime.spec(stage, container(1))
        made = labels.of_container(spec, owner=str(stage.root), image_id="", address="")
        await engine.create({"Image": BUSYBOX_IMAGE, "Labels": made}, "half-made")
        second = stage.runtime()
        (found,) = await second.open(Ears())
        assert found.id == container()
        assert await engine.inspect("half-made") is None
        await engine.close()

    async def test_one_that_is_removed_from_outside_has_ended_somehow(self, stage: DockerStage) -> None:
        runtime, ears = stage.runtime(), Ears()
        await runtime.open(ears)
        state = await runtime.start(TestDockerRuntime.spec(stage, container()))
        engine = stage.docker.engine(str(stage.root))
        await engine.remove(state.runtime_id.removeprefix("docker://"))
        ended = (await ears.next()).exit
        assert ended is not None
        assert ended.exit_code == 137
        await engine.close()


async def test_an_engine_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    runtime = DockerRuntime(DockerSettings(f"unix://{tmp_path}/none.sock", "o", tmp_path))
    with pytest.raises(RuntimeUnavailable, match="does not answer"):
        await runtime.open(Ears())
    assert "does not answer" in runtime.problem
    with pytest.raises(RuntimeUnavailable):
        await runtime.prepare(sandbox())
    await runtime.signal(container(), 15)
    await runtime.remove_pod(POD)
    await runtime.close()


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


class TestRegistries:
    @staticmethod
    def spec(image: str, *credentials: Credentials, **fields: Any) -> ContainerSpec:
        # Its program is not in the image: that Docker says so tells that the image was there.
        base = ContainerSpec(container(), "default", "web", image, ("/none",), credentials=credentials)
        return replace(base, **fields)

    async def test_a_private_image_comes_with_the_right_password(self, stage: DockerStage) -> None:
        runtime, told = stage.runtime(), Told()
        await runtime.open(Ears())
        with image_registry() as registry:
            wrong, right = (Credentials(registry.host, "ann", word) for word in ("guess", registry.password))
            with pytest.raises(StartRefused) as refusal:
                await runtime.start(self.spec(registry.tagged, wrong), told)
            assert refusal.value.reason == "ErrImagePull"
            assert told.reasons == ["Pulling", "Failed"]
            with pytest.raises(StartRefused) as refusal:
                await runtime.start(self.spec(registry.tagged, wrong, right), told)
            assert refusal.value.reason == "RunContainerError"
            assert told.reasons[2:] == ["Pulling", "Pulled", "Created"]

    async def test_an_image_by_its_digest(self, stage: DockerStage) -> None:
        runtime = stage.runtime()
        await runtime.open(Ears())
        with image_registry() as registry:
            name = f"{registry.host}/team/app@{registry.digest}"
            right = Credentials(registry.host, "ann", registry.password)
            with pytest.raises(StartRefused) as refusal:
                await runtime.start(self.spec(name, right))
            assert refusal.value.reason == "RunContainerError"
            engine = stage.docker.engine()
            image = await engine.image(name)
            await engine.close()
            assert image is not None
            assert states.image_id_of(image) == f"docker-pullable://{name}"

    async def test_a_device_that_is_cut_off_goes_on_with_what_it_has(self, stage: DockerStage) -> None:
        runtime, told = stage.runtime(), Told()
        await runtime.open(Ears())
        with image_registry() as registry:
            right = Credentials(registry.host, "ann", registry.password)
            spec = self.spec(registry.tagged, right, pull_policy="Always")
            with pytest.raises(StartRefused, match="none"):
                await runtime.start(spec)
        with pytest.raises(StartRefused) as refusal:
            await runtime.start(spec, told)
        assert refusal.value.reason == "RunContainerError"
        assert told.reasons == ["Pulling", "PullFallback", "Created"]


class Told:
    """Hears what is worth an Event."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    async def __call__(self, reason: str, message: str, warning: bool) -> None:
        assert "se:cret" not in message
        self.reasons.append(reason)


@pytest.mark.skipif(bool(missing()), reason=missing() or "there are control groups")
async def test_a_pod_is_in_the_agents_tree_paused_there_and_removed_from_it(stage: DockerStage, tmp_path: Path) -> None:
    bench, ears = GroupBench(tmp_path), Ears()
    runtime = DockerRuntime(stage.docker.settings(stage.root), groups=bench.groups)
    stage.runtimes.append(runtime)
    try:
        await runtime.open(ears)
        together = sandbox(quality="Burstable", resources=Resources(memory_limit_bytes=64 << 20))
        spec = ContainerSpec(container(), "default", "web", BUSYBOX_IMAGE, ("sh", "-c", RUN), sandbox=together)
        await runtime.start(spec)
        limit = bench.folder("memory", f"burstable/pod{POD}") / "memory.limit_in_bytes"
        assert not limit.exists() or int(limit.read_text()) == 64 << 20
        used = await bench.groups.usage(POD)
        assert used is not None
        assert used.pids >= 2  # the sandbox and the container
        assert await bench.groups.pause(POD)
        assert await bench.groups.paused() == {POD}
        await runtime.signal(container(), 15)
        ended = await ears.next()
        assert ended.exit is not None
        assert ended.exit.exit_code == 143
        await runtime.remove_pod(POD)
        assert await bench.groups.pods() == set()
    finally:
        await bench.clean()
