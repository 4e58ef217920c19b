"""What control groups of pods and containers are held to, from what the pod asks for. Pure.

As the kubelet does it, and with promises of memory where it has none by default: what a Guaranteed pod requests is not
taken from it, what a Burstable one requests is taken last.
"""

from __future__ import annotations

from edgecore.cgroups.layout import Bounds, shares_of
from edgecore.pods.runtimes.specs import Resources, SandboxSpec
from protocol.objects.qos import QosClass


def pod_bounds(sandbox: SandboxSpec) -> Bounds:
    """Return what all containers of a pod are held to together."""
    return _bounds(sandbox.resources, sandbox.quality, dies_whole=False)


def container_bounds(resources: Resources, quality: QosClass) -> Bounds:
    """Return what a container is held to, in a pod of that class."""
    return _bounds(resources, quality, dies_whole=True)


def _bounds(resources: Resources, quality: QosClass, *, dies_whole: bool) -> Bounds:
    requested = resources.memory_request_bytes or 0
    return Bounds(
        cpu_shares=shares_of(resources.cpu_request_m or 0),
        cpu_limit_m=resources.cpu_limit_m,
        memory_limit_bytes=resources.memory_limit_bytes,
        memory_kept_bytes=requested if quality == "Guaranteed" else 0,
        memory_spared_bytes=requested,
        pids_limit=resources.pids_limit or None,
        dies_whole=dies_whole,
    )
