"""What the pods part needs to know of its node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PodsSettings:
    """What the driver needs to know of its node. Nothing changes but the address, which the driver alone sets.

    Attributes:
        node_name: This node.
        host_ip: Its address; of pods that have none of their own too.
        default_runtime: The handler for pods that name no RuntimeClass.
        memory_bytes: The node's memory; 0 where it is not known.
        container_pids: Processes and threads that a container may have; None leaves it to the runtime.
        pod_pids: Processes and threads that a pod may have; None for no limit of its own.
    """

    node_name: str
    host_ip: str
    default_runtime: str = "process"
    memory_bytes: int = 0
    container_pids: int | None = None
    pod_pids: int | None = None
