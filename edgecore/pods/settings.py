"""What the pods part needs to know of its node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodsSettings:
    """What the driver needs to know of its node.

    Attributes:
        node_name: This node.
        host_ip: Its address; of process pods too.
        default_runtime: The handler for pods that name no RuntimeClass.
    """

    node_name: str
    host_ip: str
    default_runtime: str = "process"
