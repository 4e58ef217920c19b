"""Pod controls in memory, for tests of whoever steers pods by them."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgecore.cgroups.base import PodsRoom, PodUse
from protocol.objects.keys import Uid


@dataclass(slots=True)
class MemoryControls:
    """Implements :class:`edgecore.cgroups.base.PodControls`.

    Attributes:
        enforced: Whether acts have an effect.
        uses: What each pod uses; a pod that is not here has no group.
        kills: Out-of-memory kills of each pod.
        above: The group above all pods.
        fractions: Pods that are throttled, and to which share.
        halted: Pods that are paused.
        acts: Everything that was asked for, in order: ``throttle``, ``pause`` or ``resume``, the pod, the share.
    """

    enforced: bool = True
    uses: dict[Uid, PodUse] = field(default_factory=dict)
    kills: dict[Uid, int] = field(default_factory=dict)
    above: PodsRoom | None = None
    fractions: dict[Uid, float] = field(default_factory=dict)
    halted: set[Uid] = field(default_factory=set)
    acts: list[tuple[str, Uid, float | None]] = field(default_factory=list)

    async def throttle(self, uid: Uid, cpu_fraction: float | None) -> bool:
        """Note the share."""
        self.acts.append(("throttle", uid, cpu_fraction))
        if not self._held(uid):
            return False
        if cpu_fraction is None:
            self.fractions.pop(uid, None)
        else:
            self.fractions[uid] = cpu_fraction
        return True

    async def pause(self, uid: Uid) -> bool:
        """Note that the pod is paused."""
        self.acts.append(("pause", uid, None))
        if not self._held(uid):
            return False
        self.halted.add(uid)
        return True

    async def resume(self, uid: Uid) -> bool:
        """Note that the pod goes on."""
        self.acts.append(("resume", uid, None))
        if not self._held(uid):
            return False
        self.halted.discard(uid)
        return True

    async def throttled(self) -> frozenset[Uid]:
        """Return the pods that are throttled."""
        return frozenset(self.fractions)

    async def paused(self) -> frozenset[Uid]:
        """Return the pods that are paused."""
        return frozenset(self.halted)

    async def usage(self, uid: Uid) -> PodUse | None:
        """Return what the test said the pod uses."""
        return self.uses.get(uid) if self.enforced else None

    async def oom_kills(self, uid: Uid) -> int:
        """Return what the test said."""
        return self.kills.get(uid, 0)

    async def room(self) -> PodsRoom | None:
        """Return what the test said."""
        return self.above if self.enforced else None

    def _held(self, uid: Uid) -> bool:
        return self.enforced and uid in self.uses
