"""What a runtime is asked for, from the Pod: resources, security context, image, and what containers share. Pure.

Rules: Kubernetes' core/v1 Pod and PodSecurityContext; a container's own security context wins over its pod's.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from edgecore.pods.environment import arguments, command, user
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, Mount
from edgecore.pods.runtimes.specs import (
    Credentials,
    Dns,
    HostAlias,
    HostPort,
    PullPolicy,
    Resources,
    SandboxSpec,
    Security,
)
from edgecore.pods.settings import PodsSettings
from edgecore.pods.sources import Sources
from protocol.objects.keys import Body, Uid
from protocol.objects.podresources import pod_resources
from protocol.objects.qos import oom_score_adj, qos_class
from protocol.objects.quantities import milli, whole

_DOCKER_CONFIG: Final = ".dockerconfigjson"
_OLD_DOCKER_CONFIG: Final = ".dockercfg"


def container_spec(
    pod: Body,
    spec: Body,
    container: ContainerId,
    *,
    variables: Mapping[str, str],
    mounts: tuple[Mount, ...],
    sources: Sources,
    settings: PodsSettings,
) -> ContainerSpec:
    """Return everything a runtime needs to start one container of ``pod``.

    Args:
        pod: The pod.
        spec: The container's part of its spec.
        container: The instance.
        variables: Its environment.
        mounts: Its volumes, prepared.
        sources: Where pull secrets come from.
        settings: About the node.

    Raises:
        StartRefused: It must not run as root, and would.
    """
    who = user(pod, spec)
    return ContainerSpec(
        id=container,
        namespace=pod["metadata"].get("namespace", ""),
        pod_name=pod["metadata"]["name"],
        image=spec.get("image", ""),
        argv=command(spec, variables),
        environment=tuple(variables.items()),
        working_dir=spec.get("workingDir", ""),
        mounts=mounts,
        user=who.user,
        group=who.group,
        groups=who.groups,
        arguments=arguments(spec, variables),
        pull_policy=pull_policy(spec),
        credentials=tuple(credentials(pod, sources)),
        resources=resources(pod, spec, settings),
        security=security(pod, spec),
        sandbox=sandbox(pod, settings),
        termination_path=spec.get("terminationMessagePath") or "/dev/termination-log",
        termination_from_log=spec.get("terminationMessagePolicy") == "FallbackToLogsOnError",
        tty=bool(spec.get("tty")),
        stdin=bool(spec.get("stdin")),
    )


def pull_policy(container: Body) -> PullPolicy:
    """Return when the image is fetched; unstated, a tag of ``latest`` or none means always."""
    stated = container.get("imagePullPolicy")
    if stated in ("Always", "IfNotPresent", "Never"):
        policy: PullPolicy = stated
        return policy
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent"


def resources(pod: Body, container: Body, settings: PodsSettings) -> Resources:
    """Return the container's requests and limits; a request that is not stated takes the limit."""
    stated = container.get("resources") or {}
    limits, requests = stated.get("limits") or {}, stated.get("requests") or {}
    requests = {**limits, **requests}

    def amount(part: Mapping[str, Any], name: str) -> int | None:
        if name not in part:
            return None
        return milli(part[name]) if name == "cpu" else whole(part[name])

    return Resources(
        cpu_request_m=amount(requests, "cpu"),
        cpu_limit_m=amount(limits, "cpu") or None,
        memory_request_bytes=amount(requests, "memory"),
        memory_limit_bytes=amount(limits, "memory") or None,
        pids_limit=settings.container_pids,
        oom_score_adj=oom_score_adj(pod, container, settings.memory_bytes),
    )


def security(pod: Body, container: Body) -> Security:
    """Return what the container may do."""
    shared = pod["spec"].get("securityContext") or {}
    context = {**shared, **{k: v for k, v in (container.get("securityContext") or {}).items() if v is not None}}
    capabilities = context.get("capabilities") or {}
    selinux = context.get("seLinuxOptions") or {}
    return Security(
        run_as_non_root=bool(context.get("runAsNonRoot")),
        privileged=bool(context.get("privileged")),
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        capabilities_add=tuple(capabilities.get("add") or ()),
        capabilities_drop=tuple(capabilities.get("drop") or ()),
        seccomp=_profile(context.get("seccompProfile")) or "RuntimeDefault",
        apparmor=_profile(context.get("appArmorProfile")),
        selinux=tuple((name, str(selinux[name])) for name in ("user", "role", "type", "level") if selinux.get(name)),
        unmasked_proc=context.get("procMount") == "Unmasked",
    )


def _profile(stated: Body | None) -> str:
    """Return ``RuntimeDefault``, ``Unconfined``, ``localhost/<profile>``, or empty where nothing is stated."""
    if not stated:
        return ""
    kind = str(stated.get("type", ""))
    return f"localhost/{stated.get('localhostProfile', '')}" if kind == "Localhost" else kind


def sandbox(pod: Body, settings: PodsSettings | None = None) -> SandboxSpec:
    """Return what the pod's containers share."""
    metadata, spec = pod["metadata"], pod["spec"]
    aliases = (HostAlias(one["ip"], tuple(one.get("hostnames") or ())) for one in spec.get("hostAliases") or ())
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
    return SandboxSpec(
        pod=Uid(metadata["uid"]),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        hostname=str(spec.get("hostname") or metadata["name"])[:63].rstrip("-."),
        domain=str(spec.get("subdomain") or ""),
        host_network=bool(spec.get("hostNetwork")),
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        share_processes=bool(spec.get("shareProcessNamespace")),
        ports=tuple(_host_ports(spec)),
        dns=dns(spec),
        host_aliases=tuple(aliases),
        sysctls=tuple((one["name"], str(one.get("value", ""))) for one in sysctls),
        quality=qos_class(pod),
        resources=_together(spec, settings.pod_pids if settings is not None else None),
    )


def _together(spec: Body, pids: int | None) -> Resources:
    total = pod_resources(spec)
    return Resources(
        cpu_request_m=total.cpu_request_m or None,
        cpu_limit_m=total.cpu_limit_m,
        memory_request_bytes=total.memory_request_bytes or None,
        memory_limit_bytes=total.memory_limit_bytes,
        pids_limit=pids,
    )


def _host_ports(spec: Body) -> Iterator[HostPort]:
    if spec.get("hostNetwork"):
        return  # What its containers listen on is the host's already.
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                protocol = str(port.get("protocol") or "TCP").lower()
                yield HostPort(port["hostPort"], port["containerPort"], protocol, port.get("hostIP") or "")


def dns(spec: Body) -> Dns:
    """Return how names are resolved. ``ClusterFirst`` is the node's own way: an edge has no cluster DNS of its own."""
    config = spec.get("dnsConfig") or {}
    options = (
        f"{option['name']}:{option['value']}" if option.get("value") not in (None, "") else option["name"]
        for option in config.get("options") or ()
    )
    return Dns(
        from_host=spec.get("dnsPolicy") != "None",
        servers=tuple(config.get("nameservers") or ()),
        searches=tuple(config.get("searches") or ()),
        options=tuple(options),
    )


def credentials(pod: Body, sources: Sources) -> Iterator[Credentials]:
    """Yield what ``imagePullSecrets`` hold. One that is missing or malformed is passed over: the pull will tell."""
    for reference in pod["spec"].get("imagePullSecrets") or ():
        entries = sources.secret(reference.get("name") or "") or {}
        try:
            if _DOCKER_CONFIG in entries:
                auths = json.loads(entries[_DOCKER_CONFIG])["auths"]
            else:
                auths = json.loads(entries.get(_OLD_DOCKER_CONFIG, b"{}"))
            yield from [_credentials(registry, auth) for registry, auth in auths.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def _credentials(registry: str, auth: Mapping[str, str]) -> Credentials:
    name, password = auth.get("username", ""), auth.get("password", "")
    if auth.get("auth"):
        try:
            name, _, password = base64.b64decode(auth["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("auth is not base64") from error
    return Credentials(registry, name, password, auth.get("identitytoken", ""))
