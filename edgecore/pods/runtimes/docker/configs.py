"""What Docker is asked for: the bodies of ``POST /containers/create``, from our specs. Pure.

Limits are what ``docker run`` calls ``--cpus``, ``--memory``, ``--memory-reservation``, ``--cpu-shares`` and
``--pids-limit``; nothing is restarted by Docker, and health checks of images are left out: both are the machine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgecore.pods.runtimes.base import ContainerSpec, Mount, StartRefused
from edgecore.pods.runtimes.docker import labels
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import Dns, HostPort, Resources, SandboxSpec, Security

Config = dict[str, Any]

_SANDBOX_OOM_SCORE: Final = -998
_LEAST_SHARES: Final = 2
_SHARES_PER_CORE: Final = 1024
_PROPAGATION: Final[Mapping[str, str]] = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
"""Docker's words for ``mountPropagation``; what is not among them is its default, private."""


@dataclass(frozen=True, slots=True)
class HostResolver:
    """The node's own ``/etc/resolv.conf``."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is put into.

    Attributes:
        sandbox: Docker's id of the pod's sandbox.
        address: The pod's own IP address, or empty.
        image: ``GET /images/{name}/json`` of its image.
        image_id: What the status calls it.
        termination_file: The file on the host in which it may leave a last word.
        seccomp: Content of the seccomp profile, where the spec names one.
        podman: Whether the engine is Podman.
        oom_floor: The engine may set no ``oom_score_adj`` below this.
        group: The control group, or slice, that its own is made in; empty for the engine's choice.
    """

    sandbox: str
    address: str
    image: Mapping[str, Any]
    image_id: str
    termination_file: Path
    seccomp: str = ""
    podman: bool = False
    oom_floor: int = -1000
    group: str = ""


def sandbox_config(
    spec: SandboxSpec,
    settings: DockerSettings,
    image: str,
    resolver: HostResolver,
    *,
    oom_floor: int = -1000,
    group: str = "",
) -> Config:
    """Return the body that creates a pod's sandbox.

    Args:
        spec: What the pod's containers share.
        settings: The runtime's settings.
        image: Its image.
        resolver: How the node resolves names.
        oom_floor: The engine may set no ``oom_score_adj`` below this.
        group: The control group, or slice, that the sandbox's own is made in; empty for the engine's choice.
    """
    host: Config = {
        "NetworkMode": "host" if spec.host_network else settings.network,
        "IpcMode": "host" if spec.host_ipc else "shareable",
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "OomScoreAdj": max(_SANDBOX_OOM_SCORE, oom_floor),
        "CpuShares": _LEAST_SHARES,
        "RestartPolicy": {"Name": "no"},
        "ExtraHosts": [f"{name}:{alias.address}" for alias in spec.host_aliases for name in alias.names],
        "Sysctls": dict(spec.sysctls),
        "LogConfig": {"Type": "none", "Config": {}},
        **_dns(spec.dns, resolver),
        **_parent(group),
    }
    config: Config = {"Image": image, "Labels": labels.of_sandbox(spec, owner=settings.owner), "HostConfig": host}
    if spec.host_pid:
        host["PidMode"] = "host"
    if not spec.host_network:
        config |= {"Hostname": spec.hostname, "Domainname": spec.domain}
        host["PortBindings"] = _bindings(spec.ports)
        config["ExposedPorts"] = {name: {} for name in host["PortBindings"]}
    return config


def _parent(group: str) -> Config:
    return {"CgroupParent": group} if group else {}


def _bindings(ports: Sequence[HostPort]) -> dict[str, list[Config]]:
    bindings: dict[str, list[Config]] = {}
    for port in ports:
        name = f"{port.container_port}/{port.protocol}"
        bindings.setdefault(name, []).append({"HostIp": port.host_ip, "HostPort": str(port.host_port)})
    return bindings


def _dns(dns: Dns, resolver: HostResolver) -> Config:
    """Return Docker's settings of name resolution. What is left out comes from the node."""
    found: Config = {}
    if dns.servers:
        found["Dns"] = [*(resolver.servers if dns.from_host else ()), *dns.servers]
    if dns.searches or not dns.from_host:
        # A lone dot is Docker's way to say: search nowhere.
        found["DnsSearch"] = [*(resolver.searches if dns.from_host else ()), *dns.searches] or ["."]
    if dns.options:
        found["DnsOptions"] = [*(resolver.options if dns.from_host else ()), *dns.options]
    return found


def container_config(spec: ContainerSpec, around: Surroundings, settings: DockerSettings) -> Config:
    """Return the body that creates a container instance.

    Raises:
        StartRefused: It must not run as root, and would; or there is neither a command nor an entry point.
    """
    image = around.image.get("Config") or {}
    _check_command(spec, image)
    config: Config = {
        "Image": around.image["Id"],
        "Labels": labels.of_container(spec, owner=settings.owner, image_id=around.image_id, address=around.address),
        "Env": [f"{name}={value}" for name, value in spec.environment],
        "User": _user(spec, str(image.get("User") or "")),
        "Healthcheck": {"Test": ["NONE"]},
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "HostConfig": _host_config(spec, around, settings),
    }
    if spec.argv:
        config["Entrypoint"] = list(spec.argv)
    elif spec.arguments:
        config["Cmd"] = list(spec.arguments)
    if spec.working_dir:
        config["WorkingDir"] = spec.working_dir
    return config


def _host_config(spec: ContainerSpec, around: Surroundings, settings: DockerSettings) -> Config:
    joined = f"container:{around.sandbox}"
    host: Config = {
        "NetworkMode": joined,
        "IpcMode": joined,
        "RestartPolicy": {"Name": "no"},
        "GroupAdd": [str(group) for group in spec.groups],
        "LogConfig": _log_config(settings, podman=around.podman),
        **_mounts((*spec.mounts, Mount(around.termination_file, spec.termination_path))),
        **_resources(spec.resources, settings, around.oom_floor),
        **_security(spec.security, around.seccomp),
        **_parent(around.group),
    }
    if spec.sandbox is not None and spec.sandbox.host_pid:
        host["PidMode"] = "host"
    elif spec.sandbox is not None and spec.sandbox.share_processes:
        host["PidMode"] = joined
    return host


def _log_config(settings: DockerSettings, *, podman: bool) -> Config:
    size = str(settings.log_bytes)
    if podman:
        return {"Type": "k8s-file", "Config": {"max-size": size}}
    return {"Type": "json-file", "Config": {"max-size": size, "max-file": str(settings.log_files)}}


def _mounts(mounts: Sequence[Mount]) -> Config:
    """Return volumes. The short form makes a missing folder of the host; the long one copes with a colon in a path."""
    short = [mount for mount in mounts if ":" not in str(mount.source)]
    return {
        "Binds": [":".join((str(mount.source), mount.path, *_bind_options(mount))) for mount in short],
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(mount.source),
                "Target": mount.path,
                "ReadOnly": mount.read_only,
                **_long_options(mount),
            }
            for mount in mounts
            if mount not in short
        ],
    }


def _bind_options(mount: Mount) -> tuple[str, ...]:
    options = (["ro"] if mount.read_only else []) + [_PROPAGATION.get(mount.propagation, "")]
    stated = ",".join(option for option in options if option)
    return (stated,) if stated else ()


def _long_options(mount: Mount) -> Config:
    propagation = _PROPAGATION.get(mount.propagation)
    return {"BindOptions": {"Propagation": propagation}} if propagation else {}


def _resources(resources: Resources, settings: DockerSettings, oom_floor: int) -> Config:
    shares = (resources.cpu_request_m or 0) * _SHARES_PER_CORE // 1000
    found: Config = {
        "CpuShares": max(shares, _LEAST_SHARES),
        "OomScoreAdj": max(resources.oom_score_adj, oom_floor),
        "PidsLimit": (settings.pids_limit if resources.pids_limit is None else resources.pids_limit) or None,
    }
    if resources.cpu_limit_m is not None:
        found["NanoCpus"] = resources.cpu_limit_m * 1_000_000
    if resources.memory_limit_bytes is not None:
        # As much memory and swap together as memory: no swap.
        found |= {"Memory": resources.memory_limit_bytes, "MemorySwap": resources.memory_limit_bytes}
    if resources.memory_request_bytes:
        found["MemoryReservation"] = resources.memory_request_bytes
    return found


def _security(security: Security, seccomp: str) -> Config:
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp == "Unconfined":
        options.append("seccomp=unconfined")
    elif seccomp:
        options.append(f"seccomp={seccomp}")
    if security.apparmor == "Unconfined":
        options.append("apparmor=unconfined")
    elif security.apparmor.startswith("localhost/"):
        options.append(f"apparmor={security.apparmor.removeprefix('localhost/')}")
    options += [f"label={name}:{value}" for name, value in security.selinux]
    found: Config = {
        "SecurityOpt": options,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.capabilities_add),
        "CapDrop": list(security.capabilities_drop),
    }
    if security.unmasked_proc:
        found |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return found


def _check_command(spec: ContainerSpec, image: Mapping[str, Any]) -> None:
    if not (spec.argv or spec.arguments or image.get("Entrypoint") or image.get("Cmd")):
        message = f"no command specified, and the image {spec.image!r} has neither an entrypoint nor a command"
        raise StartRefused("CreateContainerConfigError", message)


def _user(spec: ContainerSpec, image_user: str) -> str:
    """Return Docker's ``User``; empty leaves it to the image.

    Raises:
        StartRefused: It must not run as root, and would or may.
    """
    name = str(spec.user) if spec.user is not None else image_user.partition(":")[0]
    if spec.security.run_as_non_root and not (name.isdecimal() and int(name) != 0):
        if name in ("", "0", "root"):
            message = "container has runAsNonRoot and image will run as root"
        else:
            message = (
                f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
            )
        raise StartRefused("CreateContainerConfigError", message)
    if spec.user is None and spec.group is None:
        return ""
    return name + (f":{spec.group}" if spec.group is not None else "") if name else f"0:{spec.group}"
