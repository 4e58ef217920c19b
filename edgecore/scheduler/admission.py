"""Which of the pods that are bound to it this device takes: the kubelet's admission, a queue, and preemption. Sans-IO.

Theory. A pod is judged once, when it is to begin. First whether the node is one for it at all (:mod:`fitness`), then
whether there is room: the sums of what all pods there are charged, kept as pods come and go, must stay within what is
allocatable (:mod:`protocol.objects.sla` has the formula). What becomes of a pod without room its annotation
``edge.aiokubeedge.io/on-full`` says:

========  =======================================================================================================
fail      the default, as the kubelet does: the pod is refused, for good (``OutOfcpu``, ``NodePorts``, …)
queue     the pod waits, and begins by priority when room comes; it is refused only if it could never fit
preempt   as queue, and pods of lower priority are ended for it where that makes room (unless ``preemptionPolicy``
          is ``Never``)
========  =======================================================================================================

Critical pods (static ones, and from priority 2000000000 up) always preempt those that are not, as for the kubelet, and
are refused where even that makes no room.

The queue is strict where it matters: what those before a pod wait for counts as taken, so nobody of lower rank, in the
queue or new, gets in a waiting pod's way; who wants nothing that they want passes. Ranks hang on nothing but the pods
(critical, priority, age, uid), and who has begun is told by the pods' statuses: so the plan is the same after each
restart, cut off or not.

Pods that had begun before the agent restarted are not judged again while they run, unless the node has become smaller.
Then, and after a reboot, they are taken up by rank as far as they fit, and before anybody new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgecore.pods.gate import Refusal, Verdict, Wait
from edgecore.scheduler.claims import Claim, Shortage, Sums, claim_of, rank_of, total
from edgecore.scheduler.fitness import Site, misfit
from edgecore.scheduler.ranking import is_critical
from protocol.objects.keys import Body, Uid
from protocol.objects.mirrors import is_static
from protocol.objects.podrequests import Amounts
from protocol.objects.wellknown import ON_FULL

FAIL: Final = "fail"
QUEUE: Final = "queue"
PREEMPT: Final = "preempt"


class Admission:
    """Implements :class:`edgecore.pods.gate.Gate`.

    Args:
        allocatable: What the node has for pods, by resource, in base units.
        site: Returns what the node is.
        handler_of: Returns the runtime that a pod's RuntimeClass means; None where that is not known.
        smaller: Whether there is less allocatable than when the pods that run were let in.
    """

    def __init__(
        self,
        allocatable: Amounts,
        *,
        site: Callable[[], Site],
        handler_of: Callable[[Body], str | None] = lambda _: None,
        smaller: bool = False,
    ) -> None:
        self._allocatable = dict(allocatable)
        self._site = site
        self._handler_of = handler_of
        self._smaller = smaller
        self._sums = Sums()
        self._there: dict[Uid, Claim] = {}
        self._leaving: set[Uid] = set()
        self._queue: dict[Uid, Claim] = {}
        self.waited = False
        """Whether a pod has had to wait since the start."""

    # --- the gate -------------------------------------------------------------------------------------------------

    def rank(self, pod: Body, *, admitted: bool, running: bool) -> tuple[object, ...]:
        """Return the pod's place when the agent comes up: who stays whatever comes, who had begun, who is new."""
        stays = running and not self._smaller
        return not stays, not admitted, *rank_of(pod)

    def adopt(self, pod: Body, *, running: bool) -> Verdict:
        """Take a pod that had begun, where it runs or still fits."""
        claim = self._claim(pod)
        if isinstance(claim, Refusal):
            return claim
        if (running and not self._smaller) or self._fits(claim):
            self._admit(claim)
            return None
        # What runs cannot be made to wait: it would have to be ended, and a pod is begun only once.
        policy = FAIL if running and not claim.critical else self._policy(pod)
        return self._without_room(claim, policy)

    def hold(self, pod: Body) -> None:
        """Count a pod that is on its way out."""
        claim = self._claim(pod)
        if isinstance(claim, Claim):
            self._admit(claim)
            self._leaving.add(claim.uid)

    def ask(self, pod: Body) -> Verdict:
        """Judge a pod that has not begun."""
        uid = Uid(pod["metadata"]["uid"])
        if uid in self._there:
            return None
        claim = self._queue.get(uid) or self._claim(pod)
        refusal = claim if isinstance(claim, Refusal) else self._misfit(pod)
        if refusal is not None:
            self._queue.pop(uid, None)
            return refusal
        assert isinstance(claim, Claim)
        if self._fits(claim):
            self._admit(claim)
            return None
        return self._without_room(claim, self._policy(pod))

    def leave(self, uid: Uid) -> bool:
        """Give back what a pod took or waited for."""
        claim = self._there.pop(uid, None)
        if claim is not None:
            self._sums.take(claim)
        self._leaving.discard(uid)
        waited = self._queue.pop(uid, None) is not None
        return (claim is not None or waited) and bool(self._queue)

    def queue(self) -> Sequence[Uid]:
        """Return the pods that wait, in the order of their turns."""
        return [claim.uid for claim in self._in_order()]

    # --- for people -----------------------------------------------------------------------------------------------

    @property
    def charged(self) -> Amounts:
        """What the pods there are charged, by resource, in base units."""
        return {name: amount for name, amount in self._sums.amounts.items() if amount}

    @property
    def allocatable(self) -> Amounts:
        """What the node has for pods, by resource, in base units."""
        return dict(self._allocatable)

    def check_invariants(self) -> None:
        """Raise AssertionError where the sums disagree with the pods."""
        kept = {name: amount for name, amount in total(self._there.values()).amounts.items() if amount}
        assert kept == self.charged, "sums"
        assert not self._there.keys() & self._queue.keys(), "a pod waits and is there"
        assert self._leaving <= self._there.keys(), "a pod leaves that is not there"

    # --- judging --------------------------------------------------------------------------------------------------

    def _claim(self, pod: Body) -> Claim | Refusal:
        try:
            return claim_of(pod)
        except ValueError as error:
            return Refusal("UnexpectedAdmissionError", f"Pod was rejected: a resource quantity cannot be read: {error}")

    def _misfit(self, pod: Body) -> Refusal | None:
        return misfit(pod, self._site(), self._handler_of(pod), static=is_static(pod))

    def _policy(self, pod: Body) -> str:
        if is_critical(pod):
            return PREEMPT
        policy = (pod["metadata"].get("annotations") or {}).get(ON_FULL, FAIL)
        if policy == PREEMPT and pod["spec"].get("preemptionPolicy") == "Never":
            return QUEUE
        return policy if policy in (QUEUE, PREEMPT) else FAIL

    def _fits(self, claim: Claim) -> bool:
        return self._problem(claim, self._taken(claim)) is None

    def _taken(self, claim: Claim) -> Sums:
        """Return what is used, and what those before ``claim`` in the queue wait for."""
        before = [other for other in self._queue.values() if other.rank < claim.rank]
        if not before:
            return self._sums
        sums = self._sums.copy()
        for other in before:
            sums.put(other)
        return sums

    def _problem(self, claim: Claim, taken: Sums) -> Refusal | None:
        shortage = taken.short(claim, self._allocatable)
        if shortage is not None:
            return _out_of(shortage)
        if taken.conflicts(claim):
            why = "node(s) didn't have free ports for the requested pod ports"
            return Refusal("NodePorts", f"Pod was rejected: Predicate NodePorts failed: {why}")
        return None

    def _without_room(self, claim: Claim, policy: str) -> Verdict:
        taken = self._taken(claim)
        problem = self._problem(claim, taken)
        never = self._problem(claim, Sums())
        assert problem is not None
        if policy == FAIL or never is not None:
            self._queue.pop(claim.uid, None)
            return never or problem
        victims = self._victims(claim, taken) if policy == PREEMPT else ()
        if claim.critical and victims is None:
            self._queue.pop(claim.uid, None)
            return problem
        self._queue[claim.uid] = claim
        self.waited = True
        self._leaving.update(victims or ())
        return Wait(problem.reason, problem.message.removeprefix("Pod was rejected: "), tuple(victims or ()))

    def _victims(self, claim: Claim, taken: Sums) -> Sequence[Uid] | None:
        """Return whom to end for a pod, nobody where enough are leaving; None where no ending makes room.

        The lowest go first, and no more than it takes: who turns out not to be needed stays, the highest first.
        """
        left = taken.copy()
        for uid in self._leaving:
            left.take(self._there[uid])
        if self._problem(claim, left) is None:
            return ()
        lowest_first = sorted(
            (other for other in self._there.values() if other.uid not in self._leaving and claim.may_preempt(other)),
            key=lambda other: (-other.priority, -other.quality, other.rank),
            reverse=True,
        )
        for other in lowest_first:
            left.take(other)
        if self._problem(claim, left) is not None:
            return None
        victims = []
        for other in reversed(lowest_first):
            left.put(other)
            if self._problem(claim, left) is not None:
                left.take(other)
                victims.append(other.uid)
        return victims

    def _admit(self, claim: Claim) -> None:
        self._queue.pop(claim.uid, None)
        if claim.uid not in self._there:
            self._there[claim.uid] = claim
            self._sums.put(claim)

    def _in_order(self) -> list[Claim]:
        return sorted(self._queue.values(), key=lambda claim: claim.rank)


def _out_of(shortage: Shortage) -> Refusal:
    figures = f"requested: {shortage.requested}, used: {shortage.used}, capacity: {shortage.capacity}"
    message = f"Pod was rejected: Node didn't have enough resource: {shortage.resource}, {figures}"
    return Refusal(f"OutOf{shortage.resource}", message)
