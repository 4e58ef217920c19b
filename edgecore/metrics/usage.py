"""What a runtime knows of what its pods use (interface)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.objects.keys import Uid


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What one running instance of a container has used.

    Attributes:
        pod: The pod's uid.
        name: The container's name.
        instance: Tells this instance from earlier ones of the container: its counters began anew.
        cpu_s: Processor time so far, seconds.
        memory_bytes: Memory in use now.
    """

    pod: Uid
    name: str
    instance: str
    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The network of a pod that does not share the host's.

    Attributes:
        pod: The pod's uid.
        address: Where the host reaches it.
        received_bytes: So far.
        sent_bytes: So far.
    """

    pod: Uid
    address: str
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What all pods of one runtime have used.

    Attributes:
        containers: One entry per running instance that can be measured.
        networks: One entry per pod with a network of its own.
    """

    containers: Sequence[ContainerUsage] = ()
    networks: Sequence[PodNetwork] = ()


class UsageSource(Protocol):
    """Measures the pods of one runtime."""

    async def usage(self) -> Usage:
        """Return what running pods have used; a pod that cannot be measured just now is left out.

        Must cost little: it is asked every ten seconds on devices that have nothing to spare.

        Raises:
            OSError: Nothing can be measured just now.
        """
