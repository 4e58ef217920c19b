"""How a container says whose it is: labels, and a name that people recognise. Pure.

The ``io.kubernetes`` labels and the form of the names are those that tools know from Kubernetes' own use of Docker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
POD_UID: Final = "io.kubernetes.pod.uid"
CONTAINER_NAME: Final = "io.kubernetes.container.name"
TYPE: Final = "io.kubernetes.docker.type"
CONTAINER: Final = "container"
SANDBOX: Final = "podsandbox"
OWNER: Final = "edge.aiokubeedge.io/owner"
ATTEMPT: Final = "edge.aiokubeedge.io/attempt"
IMAGE: Final = "edge.aiokubeedge.io/image"
IMAGE_ID: Final = "edge.aiokubeedge.io/image-id"
ADDRESS: Final = "edge.aiokubeedge.io/address"
FROM_LOG: Final = "edge.aiokubeedge.io/termination-message-from-log"


def of_container(spec: ContainerSpec, *, owner: str, image_id: str, address: str) -> dict[str, str]:
    """Return the labels of a container instance."""
    return {
        POD_NAME: spec.pod_name,
        POD_NAMESPACE: spec.namespace,
        POD_UID: spec.id.pod,
        CONTAINER_NAME: spec.id.name,
        TYPE: CONTAINER,
        OWNER: owner,
        ATTEMPT: str(spec.id.attempt),
        IMAGE: spec.image,
        IMAGE_ID: image_id,
        ADDRESS: address,
        FROM_LOG: str(spec.termination_from_log).lower(),
    }


def of_sandbox(spec: SandboxSpec, *, owner: str) -> dict[str, str]:
    """Return the labels of a pod's sandbox."""
    return {
        POD_NAME: spec.name,
        POD_NAMESPACE: spec.namespace,
        POD_UID: spec.pod,
        TYPE: SANDBOX,
        OWNER: owner,
    }


def container_of(labels: Mapping[str, str]) -> ContainerId | None:
    """Return the instance that a container is, or None where it is none."""
    uid, name, attempt = labels.get(POD_UID), labels.get(CONTAINER_NAME), labels.get(ATTEMPT, "")
    if labels.get(TYPE) != CONTAINER or not uid or not name or not attempt.isdecimal():
        return None
    return ContainerId(Uid(uid), name, int(attempt))


def name_of_container(spec: ContainerSpec) -> str:
    """Return the container's name in Docker."""
    container = spec.id
    return f"k8s_{container.name}_{spec.pod_name}_{spec.namespace}_{container.pod}_{container.attempt}"


def name_of_sandbox(spec: SandboxSpec) -> str:
    """Return the sandbox's name in Docker."""
    return f"k8s_POD_{spec.name}_{spec.namespace}_{spec.pod}"
