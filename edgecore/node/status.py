"""The Node's status, from facts and a sample: a pure function, so that what the cloud sees can be read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

from edgecore.node.facts import KUBELET_VERSION_PREFIX, Facts, operating_system
from edgecore.node.sampler import Sample
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body
from protocol.objects.times import timestamp

READ_ONLY: Final = "ReadonlyFilesystem"
"""A condition's type, as the node problem detector names it."""
MEMORY_PRESSURE_BYTES = 100 << 20
"""Less available memory is pressure, as in the kubelet's default eviction threshold."""
DISK_PRESSURE_SHARE = 0.10
"""Less free disk is pressure (``nodefs.available<10%``)."""
PID_PRESSURE_SHARE = 0.10
"""Fewer process ids left is pressure."""
RECOVERY = 1.1
"""Pressure ends only this far beyond its threshold, so that a node on the edge of it does not flap."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """What of the machine is for pods.

    Attributes:
        max_pods: Pods at most.
        reserved_memory_bytes: Memory kept for the system and the agent.
        runtimes: Names of the runtimes, the default one first.
        version: This project's version.
        container_pids: Processes and threads that a container may have; 0 for no limit.
        pod_pids: Processes and threads that a pod may have; 0 for no limit of its own.
    """

    max_pods: int = 110
    reserved_memory_bytes: int = 100 << 20
    runtimes: tuple[str, ...] = ("process",)
    version: str = ""
    container_pids: int = 0
    pod_pids: int = 0


def node_status(facts: Facts, allotment: Allotment, conditions: Sequence[Body], now: float) -> Body:
    """Return ``status`` of the Node.

    Args:
        facts: The machine.
        allotment: What of it is for pods.
        conditions: From :func:`conditions_of`.
        now: Wall-clock time, seconds since the epoch, for ``lastHeartbeatTime``.
    """
    capacity = {
        "cpu": str(facts.cpus),
        "memory": f"{facts.memory_bytes >> 10}Ki",
        "ephemeral-storage": f"{facts.disk_bytes >> 10}Ki",
        "pods": str(allotment.max_pods),
    }
    allocatable = {
        **capacity,
        "memory": f"{max(0, facts.memory_bytes - allotment.reserved_memory_bytes) >> 10}Ki",
        "ephemeral-storage": str(int(facts.disk_bytes * (1 - DISK_PRESSURE_SHARE))),
    }
    return {
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": [{**condition, "lastHeartbeatTime": timestamp(now)} for condition in conditions],
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in facts.addresses[:1]),
            {"type": "Hostname", "address": facts.hostname},
        ],
        "nodeInfo": _node_info(facts, allotment),
        "runtimeHandlers": [{"name": name} for name in ("", *allotment.runtimes)],
    }


def _node_info(facts: Facts, allotment: Allotment) -> Body:
    version = KUBELET_VERSION_PREFIX + allotment.version
    return {
        "machineID": facts.machine_id,
        "systemUUID": facts.machine_id,
        "bootID": facts.boot_id,
        "kernelVersion": facts.kernel,
        "osImage": facts.os_image,
        "architecture": facts.architecture,
        "operatingSystem": operating_system(),
        "containerRuntimeVersion": f"{allotment.runtimes[0]}://{allotment.version}",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
    }


def runtime_condition(troubles: Mapping[str, str]) -> Body:
    """Return the condition ``RuntimesReady``: False while a runtime cannot work. The node's other runtimes go on.

    Args:
        troubles: What is wrong, by the runtime's name; empty where nothing is.
    """
    found = [f"{name}: {why}" for name, why in sorted(troubles.items()) if why]
    if not found:
        return {
            "type": "RuntimesReady",
            "status": "True",
            "reason": "RuntimesReady",
            "message": "every runtime answers",
        }
    return {"type": "RuntimesReady", "status": "False", "reason": "RuntimeUnavailable", "message": "; ".join(found)}


def groups_condition(problem: str) -> Body:
    """Return the condition ``ControlGroupsReady``: False while pods are not held to all of their limits.

    Args:
        problem: What is wrong; empty where nothing is.
    """
    if not problem:
        message = "pods run in control groups, which hold them to their limits"
        return {"type": "ControlGroupsReady", "status": "True", "reason": "LimitsEnforced", "message": message}
    return {"type": "ControlGroupsReady", "status": "False", "reason": "LimitsNotEnforced", "message": problem}


def disk_condition(problem: str) -> Body:
    """Return the condition ``ReadonlyFilesystem``: True while the disk of the data folder takes no writes.

    Args:
        problem: What is wrong; empty where nothing is.
    """
    if not problem:
        message = "the disk of the data folder takes writes"
        return {"type": READ_ONLY, "status": "False", "reason": "FilesystemIsNotReadOnly", "message": message}
    message = f"nothing can be stored, pods keep running: {problem}"
    return {"type": READ_ONLY, "status": "True", "reason": "FilesystemIsReadOnly", "message": message}


def conditions_of(sample: Sample, before: Sequence[Body], now: float, pressures: Set[str] | None = None) -> list[Body]:
    """Return the Node's conditions for ``sample``.

    Args:
        sample: The machine now.
        before: The conditions so far; pressure ends later than it begins.
        now: Wall-clock time, seconds since the epoch.
        pressures: The pressure conditions that hold, where something watches for them; else the sample tells.
    """
    at = timestamp(now)
    held = _pressures_of(sample, before) if pressures is None else pressures
    conditions = list(before)
    for kind, words in _PRESSURES.items():
        status: Literal["True", "False"] = "True" if kind in held else "False"
        reason, message = words[kind in held]
        new = {"type": kind, "status": status, "reason": f"Kubelet{reason}", "message": f"kubelet has {message}"}
        conditions = set_condition(conditions, new, at=at)
    ready = {"type": "Ready", "status": "True", "reason": "AgentReady", "message": "edgecore runs pods"}
    return set_condition(conditions, ready, at=at)


def _pressures_of(sample: Sample, before: Sequence[Body]) -> frozenset[str]:
    pressed = {each["type"] for each in before if each["status"] == "True"}
    left = {
        "MemoryPressure": (sample.memory_available_bytes, MEMORY_PRESSURE_BYTES),
        "DiskPressure": (1 - sample.disk_used, DISK_PRESSURE_SHARE),
        "PIDPressure": (1 - sample.processes / sample.processes_limit, PID_PRESSURE_SHARE),
    }
    return frozenset(
        kind
        for kind, (available, threshold) in left.items()
        if available < (threshold * RECOVERY if kind in pressed else threshold)
    )


_PRESSURES: Final[Mapping[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "MemoryPressure": (
        ("HasSufficientMemory", "sufficient memory available"),
        ("HasInsufficientMemory", "insufficient memory available"),
    ),
    "DiskPressure": (("HasNoDiskPressure", "no disk pressure"), ("HasDiskPressure", "disk pressure")),
    "PIDPressure": (
        ("HasSufficientPID", "sufficient PID available"),
        ("HasInsufficientPID", "insufficient PID available"),
    ),
}
"""Reason and message of each, without and with pressure: the kubelet's, which tools look for."""
