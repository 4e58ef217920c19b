"""Keeps pods out while the node is short of something; all else is left to the gate behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecore.pods.gate import Gate, Refusal, Verdict
from edgecore.scheduler.eviction import EVICTED, refusal
from protocol.objects.keys import Body, Uid


class PressureGate:
    """Implements :class:`edgecore.pods.gate.Gate`.

    What had begun is not asked: it is for eviction to choose among that.

    Args:
        inner: Decides about everything else.
        conditions: Returns the pressure conditions that the node has.
    """

    def __init__(self, inner: Gate, conditions: Callable[[], frozenset[str]]) -> None:
        self._inner = inner
        self._conditions = conditions

    def rank(self, pod: Body, *, admitted: bool, running: bool) -> tuple[object, ...]:
        """Return what pods are sorted by when the agent comes up."""
        return self._inner.rank(pod, admitted=admitted, running=running)

    def adopt(self, pod: Body, *, running: bool) -> Verdict:
        """Judge a pod that an earlier agent had let begin."""
        return self._inner.adopt(pod, running=running)

    def hold(self, pod: Body) -> None:
        """Count a pod that is on its way out."""
        self._inner.hold(pod)

    def ask(self, pod: Body) -> Verdict:
        """Refuse a pod whose like the node has no room for now."""
        message = refusal(pod, self._conditions())
        return Refusal(EVICTED, message) if message else self._inner.ask(pod)

    def leave(self, uid: Uid) -> bool:
        """Take note that a pod has gone."""
        return self._inner.leave(uid)

    def queue(self) -> Sequence[Uid]:
        """Return the pods that wait."""
        return self._inner.queue()
