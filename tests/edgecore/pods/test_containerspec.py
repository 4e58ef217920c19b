from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from edgecore.pods import containerspec
from edgecore.pods.containerspec import credentials, dns, pull_policy, resources, sandbox, security
from edgecore.pods.runtimes.base import ContainerId
from edgecore.pods.runtimes.specs import Credentials, Dns, HostAlias, HostPort, Resources, Security
from edgecore.pods.settings import PodsSettings
from edgecore.pods.sources import TokenRequest
from protocol.objects.keys import Body, Uid
from tests.support.pods import a_pod

SETTINGS = PodsSettings("edge-1", "10.0.0.7", memory_bytes=1000 << 20, container_pids=500)


class Secrets:
    """Sources that hold secrets only."""

    def __init__(self, **held: Mapping[str, bytes]) -> None:
        self._held = held

    def config_map(self, name: str) -> None:
        return None

    def secret(self, name: str) -> Mapping[str, bytes] | None:
        return self._held.get(name)

    def claim(self, name: str) -> None:
        return None

    def persistent_volume(self, name: str) -> None:
        return None

    def node(self) -> tuple[str, Mapping[str, str]]:
        return "edge-1", {}

    def token(self, request: TokenRequest) -> None:
        return None

    def field(self, path: str) -> str:
        return path

    def resource(self, container: str, resource: str, divisor: str) -> str:
        return "0"


def container(**fields: Any) -> Body:
    return {"name": "main", "image": "nginx", **fields}


@pytest.mark.parametrize(
    ("image", "stated", "policy"),
    [
        ("nginx", None, "Always"),
        ("nginx:latest", None, "Always"),
        ("nginx:alpine", None, "IfNotPresent"),
        ("registry.test:5000/nginx", None, "Always"),
        ("registry.test:5000/nginx:1", None, "IfNotPresent"),
        ("nginx@sha256:abc", None, "IfNotPresent"),
        ("nginx", "Never", "Never"),
        ("nginx", "IfNotPresent", "IfNotPresent"),
    ],
)
def test_when_an_image_is_fetched(image: str, stated: str | None, policy: str) -> None:
    assert pull_policy({"image": image, "imagePullPolicy": stated}) == policy


def test_requests_and_limits() -> None:
    stated = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1500m", "memory": "1024Mi"}}
    pod = a_pod(containers=[container(resources=stated)])
    assert resources(pod, pod["spec"]["containers"][0], SETTINGS) == Resources(
        cpu_request_m=100,
        cpu_limit_m=1500,
        memory_request_bytes=512 << 20,
        memory_limit_bytes=1024 << 20,
        pids_limit=500,
        oom_score_adj=488,  # 1000 - 1000 * 512 / 1000
    )


def test_a_request_that_is_not_stated_takes_the_limit() -> None:
    pod = a_pod(containers=[container(resources={"limits": {"cpu": "1", "memory": "64Mi"}})])
    found = resources(pod, pod["spec"]["containers"][0], SETTINGS)
    assert (found.cpu_request_m, found.memory_request_bytes, found.oom_score_adj) == (1000, 64 << 20, -997)


def test_the_containers_security_context_wins_over_its_pods() -> None:
    pod = a_pod(securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}})
    mine = {
        "runAsNonRoot": False,
        "privileged": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        "seccompProfile": {"type": "Localhost", "localhostProfile": "audit.json"},
        "appArmorProfile": {"type": "Unconfined"},
        "seLinuxOptions": {"type": "spc_t", "level": "s0:c1"},
        "procMount": "Unmasked",
    }
    assert security(pod, container(securityContext=mine)) == Security(
        run_as_non_root=False,
        privileged=True,
        read_only_root=True,
        no_new_privileges=True,
        capabilities_add=("NET_ADMIN",),
        capabilities_drop=("ALL",),
        seccomp="localhost/audit.json",
        apparmor="Unconfined",
        selinux=(("type", "spc_t"), ("level", "s0:c1")),
        unmasked_proc=True,
    )
    assert security(pod, container()) == Security(run_as_non_root=True, seccomp="Unconfined")
    assert security(a_pod(), container()) == Security()


def test_what_the_containers_of_a_pod_share() -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP"}]
    pod = a_pod(
        containers=[container(ports=[*ports, {"containerPort": 443}])],
        hostname="front",
        subdomain="web",
        hostPID=True,
        shareProcessNamespace=True,
        hostAliases=[{"ip": "10.1.1.1", "hostnames": ["db", "db.test"]}],
        securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]},
    )
    found = sandbox(pod)
    assert (found.hostname, found.domain, found.host_pid, found.host_ipc) == ("front", "web", True, False)
    assert found.ports == (HostPort(8080, 80), HostPort(53, 53, "udp"))
    assert found.host_aliases == (HostAlias("10.1.1.1", ("db", "db.test")),)
    assert found.sysctls == (("net.core.somaxconn", "1024"),)
    assert found.share_processes


def test_ports_of_the_host_need_nothing_on_the_hosts_network() -> None:
    pod = a_pod(hostNetwork=True, containers=[container(ports=[{"containerPort": 80, "hostPort": 80}])])
    assert sandbox(pod).ports == ()


def test_name_resolution() -> None:
    assert dns({"dnsPolicy": "ClusterFirst"}) == Dns()
    config = {
        "nameservers": ["10.0.0.2"],
        "searches": ["a.test"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
    }
    assert dns({"dnsPolicy": "None", "dnsConfig": config}) == Dns(
        from_host=False, servers=("10.0.0.2",), searches=("a.test",), options=("ndots:2", "rotate")
    )


def test_pull_secrets() -> None:
    auth = base64.b64encode(b"ann:se:cret").decode()
    new = {"auths": {"registry.test": {"auth": auth}, "other.test": {"username": "u", "password": "p"}}}
    secrets = Secrets(
        new={".dockerconfigjson": json.dumps(new).encode()},
        old={".dockercfg": json.dumps({"old.test": {"username": "o", "password": "q"}}).encode()},
        broken={".dockerconfigjson": b'{"auths": {"a": 7}}'},
        worse={".dockerconfigjson": b'{"auths": {"a": {"auth": "\xff"}}}'},
    )
    names = ["broken", "missing", "new", "worse", "old"]
    pod = a_pod(imagePullSecrets=[{"name": name} for name in names])
    assert list(credentials(pod, secrets)) == [
        Credentials("registry.test", "ann", "se:cret"),
        Credentials("other.test", "u", "p"),
        Credentials("old.test", "o", "q"),
    ]
    assert "se:cret" not in repr(list(credentials(pod, secrets)))


@pytest.mark.parametrize(
    ("fields", "argv", "arguments"),
    [
        ({"command": ["a"], "args": ["$(X)"]}, ("a", "1"), ()),
        ({"args": ["b", "$(X)"]}, (), ("b", "1")),
        ({}, (), ()),
    ],
)
def test_args_alone_go_to_the_images_command(fields: Body, argv: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    pod = a_pod(containers=[container(**fields)])
    spec = containerspec.container_spec(
        pod,
        pod["spec"]["containers"][0],
        ContainerId(Uid("u"), "main", 0),
        variables={"X": "1"},
        mounts=(),
        sources=Secrets(),
        settings=SETTINGS,
    )
    assert (spec.argv, spec.arguments) == (argv, arguments)
