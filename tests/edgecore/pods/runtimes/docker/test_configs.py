from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, Mount, StartRefused
from edgecore.pods.runtimes.docker.configs import HostResolver, Surroundings, container_config, sandbox_config
from edgecore.pods.runtimes.docker.sandboxes import host_resolver
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import Dns, HostAlias, HostPort, Resources, SandboxSpec, Security
from protocol.objects.keys import Uid

SETTINGS = DockerSettings("unix:///x", "owner", Path("/r"), log_bytes=1000, log_files=3)
SANDBOX = SandboxSpec(Uid("u1"), "default", "web", hostname="web")
SPEC = ContainerSpec(ContainerId(Uid("u1"), "main", 0), "default", "web", "img:1", ("serve",), sandbox=SANDBOX)
AROUND = Surroundings("box", "10.0.0.9", {"Id": "sha256:1", "Config": {"Cmd": ["x"]}}, "docker://1", Path("/r/word"))
RESOLVER = HostResolver(("192.0.2.1",), ("site.test",), ("ndots:1",))


def config(around: Surroundings = AROUND, **fields: Any) -> dict[str, Any]:
    return container_config(replace(SPEC, **fields), around, SETTINGS)


def host(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = config(**fields)["HostConfig"]
    return found


def image(**fields: Any) -> Surroundings:
    return replace(AROUND, image={"Id": "sha256:1", "Config": fields})


class TestContainers:
    def test_it_shares_the_sandboxs_network_and_ipc_and_restarts_by_nobodys_leave(self) -> None:
        found = host()
        assert (found["NetworkMode"], found["IpcMode"]) == ("container:box", "container:box")
        assert found["RestartPolicy"] == {"Name": "no"}
        assert "PidMode" not in found
        assert config()["Image"] == "sha256:1"
        assert config()["Healthcheck"] == {"Test": ["NONE"]}

    @pytest.mark.parametrize(
        ("sandbox", "mode"),
        [(replace(SANDBOX, share_processes=True), "container:box"), (replace(SANDBOX, host_pid=True), "host")],
    )
    def test_process_namespaces(self, sandbox: SandboxSpec, mode: str) -> None:
        assert host(sandbox=sandbox)["PidMode"] == mode

    @pytest.mark.parametrize(
        ("argv", "arguments", "entrypoint", "cmd"),
        [
            (("a", "b"), (), ["a", "b"], None),
            ((), ("b",), None, ["b"]),
            ((), (), None, None),
        ],
    )
    def test_commands(self, argv: tuple[str, ...], arguments: tuple[str, ...], entrypoint: Any, cmd: Any) -> None:
        found = config(argv=argv, arguments=arguments)
        assert (found.get("Entrypoint"), found.get("Cmd")) == (entrypoint, cmd)

    def test_without_any_command_it_is_refused(self) -> None:
        with pytest.raises(StartRefused, match="no command specified"):
            config(image(), argv=())

    def test_the_seeds_limits(self) -> None:
        limits = Resources(500, 1500, 512 << 20, 1024 << 20, None, 812)
        found = host(resources=limits)
        assert found["NanoCpus"] == 1_500_000_000
        assert (found["Memory"], found["MemorySwap"], found["MemoryReservation"]) == (1 << 30, 1 << 30, 512 << 20)
        assert (found["CpuShares"], found["PidsLimit"], found["OomScoreAdj"]) == (512, 4096, 812)

    def test_without_limits_it_has_the_least_share_and_no_bound_but_that_of_pids(self) -> None:
        found = host()
        assert found["CpuShares"] == 2
        assert not {"NanoCpus", "Memory", "MemoryReservation"} & set(found)
        assert host(resources=Resources(pids_limit=7))["PidsLimit"] == 7
        assert host(resources=Resources(pids_limit=0))["PidsLimit"] is None

    def test_an_engine_without_the_right_sets_no_low_scores(self) -> None:
        spec = Resources(oom_score_adj=-997)
        assert host(resources=spec)["OomScoreAdj"] == -997
        assert config(replace(AROUND, oom_floor=0), resources=spec)["HostConfig"]["OomScoreAdj"] == 0

    def test_security(self) -> None:
        found = host(
            security=Security(
                privileged=True,
                read_only_root=True,
                no_new_privileges=True,
                capabilities_add=("NET_ADMIN",),
                capabilities_drop=("ALL",),
                seccomp="Unconfined",
                apparmor="localhost/tight",
                selinux=(("level", "s0:c1"),),
                unmasked_proc=True,
            )
        )
        assert found["Privileged"]
        assert found["ReadonlyRootfs"]
        assert (found["CapAdd"], found["CapDrop"]) == (["NET_ADMIN"], ["ALL"])
        assert found["SecurityOpt"] == [
            "no-new-privileges",
            "seccomp=unconfined",
            "apparmor=tight",
            "label=level:s0:c1",
        ]
        assert (found["MaskedPaths"], found["ReadonlyPaths"]) == ([], [])

    def test_by_default_the_engines_own_profiles_hold(self) -> None:
        found = host()
        assert found["SecurityOpt"] == []
        assert not found["Privileged"]
        assert "MaskedPaths" not in found

    def test_a_profile_of_the_node_is_handed_over_whole(self) -> None:
        found = config(replace(AROUND, seccomp="{}"), security=Security(seccomp="localhost/a.json"))
        assert found["HostConfig"]["SecurityOpt"] == ["seccomp={}"]

    @pytest.mark.parametrize(
        ("user", "group", "image_user", "expected"),
        [
            (None, None, "web", ""),
            (5, None, "web", "5"),
            (5, 6, "web", "5:6"),
            (None, 6, "web:web", "web:6"),
            (None, 6, "", "0:6"),
        ],
    )
    def test_users(self, user: int | None, group: int | None, image_user: str, expected: str) -> None:
        assert config(image(Cmd=["x"], User=image_user), user=user, group=group)["User"] == expected

    @pytest.mark.parametrize(
        ("user", "image_user", "refusal"),
        [
            (None, "", "image will run as root"),
            (None, "root", "image will run as root"),
            (None, "0:5", "image will run as root"),
            (0, "7", "image will run as root"),
            (None, "web", "non-numeric user"),
            (None, "7", ""),
            (7, "web", ""),
        ],
    )
    def test_what_must_not_be_root(self, user: int | None, image_user: str, refusal: str) -> None:
        security = Security(run_as_non_root=True)
        if not refusal:
            config(image(Cmd=["x"], User=image_user), user=user, security=security)
            return
        with pytest.raises(StartRefused, match=refusal):
            config(image(Cmd=["x"], User=image_user), user=user, security=security)

    def test_volumes_and_the_last_word(self) -> None:
        mounts = (Mount(Path("/v/a"), "/a"), Mount(Path("/v/b"), "/b", read_only=True), Mount(Path("/v:c"), "/c"))
        found = host(mounts=mounts, termination_path="/dev/word")
        assert found["Binds"] == ["/v/a:/a", "/v/b:/b:ro", "/r/word:/dev/word"]
        assert found["Mounts"] == [{"Type": "bind", "Source": "/v:c", "Target": "/c", "ReadOnly": False}]

    def test_logs_are_bounded(self) -> None:
        assert host()["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1000", "max-file": "3"}}
        found = config(replace(AROUND, podman=True))["HostConfig"]
        assert found["LogConfig"] == {"Type": "k8s-file", "Config": {"max-size": "1000"}}


class TestSandboxes:
    def test_it_has_a_network_of_its_own_with_ports_and_names(self) -> None:
        spec = replace(
            SANDBOX,
            domain="sub",
            ports=(HostPort(8080, 80), HostPort(8081, 80, host_ip="127.0.0.1"), HostPort(53, 53, "udp")),
            host_aliases=(HostAlias("10.1.1.1", ("db", "db.test")),),
            sysctls=(("a.b", "1"),),
        )
        found = sandbox_config(spec, SETTINGS, "pause", RESOLVER)
        assert (found["Hostname"], found["Domainname"], found["HostConfig"]["NetworkMode"]) == ("web", "sub", "bridge")
        assert found["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
        assert found["HostConfig"]["PortBindings"]["80/tcp"] == [
            {"HostIp": "", "HostPort": "8080"},
            {"HostIp": "127.0.0.1", "HostPort": "8081"},
        ]
        assert found["HostConfig"]["ExtraHosts"] == ["db:10.1.1.1", "db.test:10.1.1.1"]
        assert found["HostConfig"]["Sysctls"] == {"a.b": "1"}
        assert found["HostConfig"]["IpcMode"] == "shareable"
        assert "PidMode" not in found["HostConfig"]

    def test_on_the_hosts_network_it_has_neither_name_nor_ports(self) -> None:
        spec = replace(SANDBOX, host_network=True, host_pid=True, host_ipc=True)
        found = sandbox_config(spec, SETTINGS, "pause", RESOLVER)
        modes = [found["HostConfig"][name] for name in ("NetworkMode", "PidMode", "IpcMode")]
        assert modes == ["host", "host", "host"]
        assert not {"Hostname", "ExposedPorts"} & set(found)

    @pytest.mark.parametrize(
        ("dns", "expected"),
        [
            (Dns(), {}),
            (Dns(servers=("10.0.0.2",)), {"Dns": ["192.0.2.1", "10.0.0.2"]}),
            (Dns(searches=("b.test",)), {"DnsSearch": ["site.test", "b.test"]}),
            (Dns(options=("rotate",)), {"DnsOptions": ["ndots:1", "rotate"]}),
            (Dns(from_host=False, servers=("10.0.0.2",)), {"Dns": ["10.0.0.2"], "DnsSearch": ["."]}),
        ],
    )
    def test_name_resolution(self, dns: Dns, expected: dict[str, Any]) -> None:
        found = sandbox_config(replace(SANDBOX, dns=dns), SETTINGS, "pause", RESOLVER)["HostConfig"]
        assert {name: value for name, value in found.items() if name.startswith("Dns")} == expected

    def test_the_nodes_own_way_of_resolving(self, tmp_path: Path) -> None:
        file = tmp_path / "resolv.conf"
        file.write_text("# a\nnameserver 192.0.2.1\nnameserver\nsearch a.test b.test\noptions ndots:1\n\nsortlist x\n")
        assert host_resolver(file) == HostResolver(("192.0.2.1",), ("a.test", "b.test"), ("ndots:1",))
        assert host_resolver(tmp_path / "missing") == HostResolver()
