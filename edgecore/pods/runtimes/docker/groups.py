"""Where Docker makes its containers' control groups: in their pods', so that both runtimes' pods share one tree.

An engine that makes groups itself (``cgroupfs``) is given the pod's group, which the agent has made, limits, slows and
pauses. One that has systemd make them is given a slice of the same name and class: systemd keeps it, the agent does not
touch it, and only the containers' own limits hold. One that may make none (rootless), and one on another machine, are
left alone.
"""

from __future__ import annotations

from typing import Final

from edgecore.cgroups.controls import PodGroups
from edgecore.cgroups.layout import slice_of
from edgecore.cgroups.place import TOP
from edgecore.pods.runtimes.bounds import pod_bounds
from edgecore.pods.runtimes.docker.engine import About
from edgecore.pods.runtimes.specs import SandboxSpec

_CGROUPFS: Final = "cgroupfs"
_SYSTEMD: Final = "systemd"


async def parent_of(sandbox: SandboxSpec, groups: PodGroups, about: About | None, host: str) -> str:
    """Return what the engine is to make a pod's groups in; empty to leave that to the engine.

    Args:
        sandbox: What the pod's containers share.
        groups: The pods' groups.
        about: The engine.
        host: Where it listens.

    Raises:
        OSError: The kernel refuses the pod's group.
        ValueError: The pod's uid cannot name one.
    """
    if about is None or not groups.enforced or not host.startswith("unix://"):
        return ""
    if about.cgroup_driver == _SYSTEMD:
        return slice_of(TOP, sandbox.quality, sandbox.pod)
    if about.cgroup_driver == _CGROUPFS:
        return await groups.make_pod(sandbox.pod, sandbox.quality, pod_bounds(sandbox))
    return ""
