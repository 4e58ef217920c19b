"""Pods that are slowed down or paused while the node is short of something: what is so, and what is shown of it. Pure.

Level-based, like the rest of the machine: whoever watches the node says which :class:`Hold` a pod is to be under,
:class:`Holding` compares that with what was last carried out and asks for the difference. A hold is written into the
pod's status, as a condition, before it is carried out and taken out of it after it was lifted: so an agent that dies in
between leaves no pod paused of which its successor does not know.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body

CONDITION: Final = "edge.aiokubeedge.io/Held"
"""Type of the pod condition that says that a pod is throttled or paused, and why."""
RETRY_S: Final = 5.0


class Hold(enum.IntEnum):
    """How far a pod is held back; each includes those before it."""

    NONE = 0
    THROTTLED = 1
    PAUSED = 2


REASONS: Final = {Hold.NONE: "SlaResumed", Hold.THROTTLED: "SlaThrottled", Hold.PAUSED: "SlaPaused"}


def hold_of(status: Body) -> Hold:
    """Return the hold that a pod's status tells of."""
    condition = find_condition(status.get("conditions"), CONDITION)
    if condition is None or condition.get("status") != "True":
        return Hold.NONE
    return next((hold for hold, reason in REASONS.items() if reason == condition.get("reason")), Hold.PAUSED)


class Holder(Protocol):
    """Carries out holds."""

    async def hold(self, pod: Body, hold: Hold) -> None:
        """Bring the pod under ``hold``, whatever it was under before. Idempotent.

        Raises:
            OSError: It cannot be done (now).
        """


class NoHolder:
    """Implements :class:`Holder` where pods cannot be held: letting go is all it can do."""

    async def hold(self, pod: Body, hold: Hold) -> None:
        """Refuse anything but to let go."""
        if hold is not Hold.NONE:
            raise OSError("this agent cannot hold pods back")


@dataclass(slots=True)
class Holding:
    """The hold on one pod.

    Attributes:
        wanted: What it is to be.
        message: Why, for people.
        applied: What was last carried out; None where that is not known.
        asked: What is being carried out, or None.
        retry_at: Monotonic time before which a failed attempt is not repeated, or None.
    """

    wanted: Hold = Hold.NONE
    message: str = ""
    applied: Hold | None = Hold.NONE
    asked: Hold | None = None
    retry_at: float | None = None

    @classmethod
    def left_by(cls, status: Body) -> Holding:
        """Return the hold that an earlier agent left the pod under: to be carried out again, for it may have died."""
        hold = hold_of(status)
        condition = find_condition(status.get("conditions"), CONDITION)
        if condition is None:
            return cls()
        return cls(hold, condition.get("message", ""), applied=None)

    @property
    def frozen(self) -> bool:
        """Whether the pod's processes may be stopped, so that nothing can be asked of them."""
        return Hold.PAUSED in (self.wanted, self.applied, self.asked) or (
            self.applied is None and self.wanted is Hold.PAUSED
        )

    def due(self, now: float, *, wanted: bool) -> Hold | None:
        """Return what is to be carried out now, if anything.

        Args:
            now: Monotonic time, seconds.
            wanted: Whether the pod is to run; one that is to end must not be held, or it could not.
        """
        target = self.wanted if wanted else Hold.NONE
        if self.asked is not None or target == self.applied or (self.retry_at is not None and now < self.retry_at):
            return None
        self.asked, self.retry_at = target, None
        return target

    def done(self, error: str, now: float) -> None:
        """Note that what was asked for has been carried out, or was tried in vain because of ``error``."""
        self.applied, self.asked = (None if error else self.asked), None
        self.retry_at = now + RETRY_S if error else None

    def shown(self, conditions: list[Body], at: str) -> list[Body]:
        """Return a pod's conditions with what is to be seen of the hold; a paused pod is not ready."""
        standing = max(self.wanted, self.applied or Hold.NONE)
        if standing is Hold.NONE and find_condition(conditions, CONDITION) is None:
            return conditions
        held: Body = {
            "type": CONDITION,
            "status": "True" if standing else "False",
            "reason": REASONS[standing],
            "message": self.message,
        }
        conditions = set_condition(conditions, held, at=at)
        ready = find_condition(conditions, "Ready")
        if standing is Hold.PAUSED and ready is not None and ready["status"] == "True":
            unready = {"type": "Ready", "status": "False", "reason": REASONS[standing], "message": self.message}
            conditions = set_condition(conditions, unready, at=at)
        return conditions
