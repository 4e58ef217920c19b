"""What the pods machine asks before it begins a pod: whether this node has the room, and what else it takes.

The machine asks, and notes what it is told; who decides stands behind :class:`Gate`, and is told when a pod has gone. A
pod that waits is shown to wait by a condition, which is also how the next agent knows that it has not begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body, Uid

CONDITION: Final = "edge.aiokubeedge.io/Admitted"
"""Type of the pod condition that says, once a pod has had to wait for room, whether it still does."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The pod does not begin: it fails, with this reason and message."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The pod stays in the queue.

    Attributes:
        reason: What it waits for, in CamelCase.
        message: The same for people.
        victims: Pods that are to be ended to make room for it.
    """

    reason: str
    message: str
    victims: tuple[Uid, ...] = ()


Verdict = Refusal | Wait | None
"""None: the pod is admitted, and counts as there until it has gone."""


class Gate(Protocol):
    """Decides which pods this node takes. Performs no I/O and reads no clock."""

    def rank(self, pod: Body, *, admitted: bool, running: bool) -> tuple[object, ...]:
        """Return what pods are sorted by when the agent comes up.

        Args:
            pod: The pod.
            admitted: Whether an earlier agent had let it begin.
            running: Whether something of it runs.
        """

    def adopt(self, pod: Body, *, running: bool) -> Verdict:
        """Judge a pod that an earlier agent had let begin."""

    def hold(self, pod: Body) -> None:
        """Count a pod that is on its way out as there until it has gone."""

    def ask(self, pod: Body) -> Verdict:
        """Judge a pod; asking again is allowed, and how a pod that waits gets its turn."""

    def leave(self, uid: Uid) -> bool:
        """Take note that a pod has gone or is not wanted any more; tell whether others may get their turn by it."""

    def queue(self) -> Sequence[Uid]:
        """Return the pods that wait, in the order of their turns."""


class OpenGate:
    """Implements :class:`Gate`: takes every pod."""

    def rank(self, pod: Body, *, admitted: bool, running: bool) -> tuple[object, ...]:
        """Leave pods in the order they come in."""
        return ()

    def adopt(self, pod: Body, *, running: bool) -> Verdict:
        """Take the pod."""
        return None

    def hold(self, pod: Body) -> None:
        """Count nothing."""

    def ask(self, pod: Body) -> Verdict:
        """Take the pod."""
        return None

    def leave(self, uid: Uid) -> bool:
        """Nobody waits."""
        return False

    def queue(self) -> Sequence[Uid]:
        """Nobody waits."""
        return ()


def was_admitted(status: Body) -> bool:
    """Tell whether a pod with this last status had begun; one that never reported any had not."""
    condition = find_condition(status.get("conditions"), CONDITION)
    return bool(status) and (condition is None or condition.get("status") == "True")


def shown(conditions: list[Body], waiting: Wait | None, at: str) -> list[Body]:
    """Return a pod's conditions with what is to be seen of its wait.

    Args:
        conditions: The conditions so far.
        waiting: What it waits for, or None.
        at: The current time, as a Kubernetes timestamp.
    """
    if waiting is not None:
        condition = {"type": CONDITION, "status": "False", "reason": waiting.reason, "message": waiting.message}
        return set_condition(conditions, condition, at=at)
    if find_condition(conditions, CONDITION) is None:
        return conditions
    return set_condition(conditions, {"type": CONDITION, "status": "True", "reason": "Admitted", "message": ""}, at=at)
