"""What a pod asks of a container runtime besides a command and volumes, with its defaults resolved.

A runtime acts on what it can and says what it cannot (:mod:`edgecore.pods.unsupported`). Built from the Pod by
:mod:`edgecore.pods.containerspec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container; None where the pod states none.

    Attributes:
        cpu_request_m: Thousandths of a core.
        cpu_limit_m: Thousandths of a core.
        memory_request_bytes: What it should always be able to have.
        memory_limit_bytes: What it cannot exceed.
        pids_limit: Processes and threads at most; None leaves it to the runtime.
        oom_score_adj: Kernel's preference among victims when memory ends, by QoS class: -997 to 1000.
    """

    cpu_request_m: int | None = None
    cpu_limit_m: int | None = None
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids_limit: int | None = None
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class Security:
    """What a container may do: its ``securityContext`` over its pod's.

    Attributes:
        run_as_non_root: Refuse to start it as user 0.
        privileged: Give it everything the host's root has.
        read_only_root: It may write to volumes only.
        no_new_privileges: ``allowPrivilegeEscalation: false``.
        capabilities_add: As stated: without ``CAP_``, or ``ALL``.
        capabilities_drop: The same.
        seccomp: ``RuntimeDefault``, ``Unconfined``, or the absolute path of a profile.
        apparmor: ``""`` for the runtime's default, ``unconfined``, or the name of a loaded profile.
        selinux: ``user``, ``role``, ``type`` and ``level``, those that are stated.
        unmasked_proc: ``procMount: Unmasked``.
    """

    run_as_non_root: bool = False
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    seccomp: str = "RuntimeDefault"
    apparmor: str = ""
    selinux: tuple[tuple[str, str], ...] = ()
    unmasked_proc: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and password for one registry. Never logged.

    Attributes:
        registry: Host, with port and path where the secret states them.
        username: User, or empty with an identity token.
        password: Password.
        identity_token: OAuth refresh token, or empty.
    """

    registry: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HostAlias:
    """A line for ``/etc/hosts``."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dns:
    """What ``/etc/resolv.conf`` says.

    Attributes:
        from_host: Begin with the node's own file (``dnsPolicy`` other than ``None``).
        servers: ``dnsConfig.nameservers``.
        searches: ``dnsConfig.searches``.
        options: ``dnsConfig.options``, as ``name`` or ``name:value``.
    """

    from_host: bool = True
    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the host that leads to one of the pod.

    Attributes:
        host_port: On the node.
        container_port: In the pod.
        protocol: ``tcp``, ``udp`` or ``sctp``.
        host_ip: The node's address it is bound to; empty for all.
    """

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a pod's containers share.

    Attributes:
        pod: The pod's uid.
        namespace: The pod's namespace.
        name: The pod's name.
        hostname: Its host name.
        domain: Its domain (``subdomain``), or empty.
        host_network: Use the host's network.
        host_pid: See the host's processes.
        host_ipc: Use the host's IPC.
        share_processes: Containers see one another's processes.
        ports: What of the host's ports leads to it.
        dns: Name resolution.
        host_aliases: More lines of ``/etc/hosts``.
        sysctls: Name to value.
        quality: The pod's class, by which it is placed among others.
        resources: What its containers request and are limited to together.
    """

    pod: Uid
    namespace: str
    name: str
    hostname: str = ""
    domain: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_processes: bool = False
    ports: tuple[HostPort, ...] = ()
    dns: Dns = field(default_factory=Dns)
    host_aliases: tuple[HostAlias, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    quality: QosClass = "BestEffort"
    resources: Resources = field(default_factory=Resources)
