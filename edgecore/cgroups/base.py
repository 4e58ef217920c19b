"""What can be done to a pod through its control group, whatever runtime it runs on (interface)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol.objects.keys import Uid


@dataclass(frozen=True, slots=True)
class PodUse:
    """What a pod uses, all of its containers together.

    Attributes:
        memory_bytes: Its working set: in use, without the file pages that could be dropped at once.
        cpu_ns: Processor time so far, nanoseconds.
        pids: Processes and threads; 0 where they are not counted.
    """

    memory_bytes: int
    cpu_ns: int
    pids: int


@dataclass(frozen=True, slots=True)
class PodsRoom:
    """How the group above all pods fares.

    Attributes:
        memory_bytes: Working set of all pods together.
        memory_limit_bytes: What they may have together; None where nothing holds them to it.
        pids: Processes and threads of all pods together.
        pids_limit: What they may have together; None where nothing holds them to it.
        stalled: Share of the last ten seconds in which some process waited for memory, 0 to 1 (``memory.pressure``);
            None where the kernel does not tell.
    """

    memory_bytes: int
    memory_limit_bytes: int | None
    pids: int
    pids_limit: int | None
    stalled: float | None = None


class PodControls(Protocol):
    """Slows, pauses and measures pods.

    What is done lasts as long as the pod's group: it survives the agent, and ``throttled`` and ``paused`` find it
    again. Each act is idempotent. An act on a pod without a group does nothing and answers False.
    """

    @property
    def enforced(self) -> bool:
        """Whether there are groups at all; where not, every act answers False."""

    async def throttle(self, uid: Uid, cpu_fraction: float | None) -> bool:
        """Let the pod have that share of the processor time it may have otherwise, or, with None, all of it again.

        Args:
            uid: The pod.
            cpu_fraction: Above 0, below 1; of the pod's own limit, or, where it has none, of the node's processors.
        """

    async def pause(self, uid: Uid) -> bool:
        """Stop every process of the pod where it stands; True when they do."""

    async def resume(self, uid: Uid) -> bool:
        """Let a paused pod go on."""

    async def throttled(self) -> frozenset[Uid]:
        """Return the pods that are throttled now."""

    async def paused(self) -> frozenset[Uid]:
        """Return the pods that are paused now."""

    async def usage(self, uid: Uid) -> PodUse | None:
        """Return what the pod uses; None where that cannot be told."""

    async def oom_kills(self, uid: Uid) -> int:
        """Return how many processes of the pod's present containers the kernel has killed for want of memory."""

    async def room(self) -> PodsRoom | None:
        """Return how the group above all pods fares; None where there is none."""
