"""What pods take of the node, and the sums of it: resources and host ports. Sans-IO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edgecore.scheduler.ranking import is_critical
from protocol.objects.keys import Body, Uid
from protocol.objects.podrequests import CPU, EPHEMERAL, MEMORY, PODS, Amounts, add
from protocol.objects.qos import qos_class
from protocol.objects.sla import pod_charge, tier_of

HostPort = tuple[str, int, str]
"""Protocol, number, address; the empty address is every one."""
Rank = tuple[bool, int, str, str]
"""Sorts pods: critical ones first, then higher priority, then older."""

_ORDER: Final = {name: number for number, name in enumerate((PODS, CPU, MEMORY, EPHEMERAL))}
_EVERYWHERE: Final = ("", "0.0.0.0", "::")
_CLASSES: Final = {"BestEffort": 0, "Burstable": 1, "Guaranteed": 2}


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pod takes of the node.

    Attributes:
        uid: The pod.
        amounts: By resource, in base units; what its SLA tier charges it.
        ports: Its host ports.
        rank: Its place among the pods.
        critical: Whether the node must take it before any that is not.
        priority: ``spec.priority``.
        quality: Its QoS class, the one that goes first being the lowest.
    """

    uid: Uid
    amounts: Amounts
    ports: frozenset[HostPort]
    rank: Rank
    critical: bool
    priority: int
    quality: int

    def may_preempt(self, other: Claim) -> bool:
        """Tell whether ``other`` may be ended to make room for this one."""
        return not other.critical and (self.critical or self.priority > other.priority)


@dataclass(frozen=True, slots=True)
class Shortage:
    """A resource of which there is too little."""

    resource: str
    requested: int
    used: int
    capacity: int


@dataclass(slots=True)
class Sums:
    """Resources and host ports of some pods, added up as they come and go."""

    amounts: Amounts = field(default_factory=dict)
    _ports: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)

    def copy(self) -> Sums:
        """Return the same sums, to be counted on apart."""
        return Sums(dict(self.amounts), {key: Counter(held) for key, held in self._ports.items()})

    def put(self, claim: Claim) -> None:
        """Count a pod."""
        add(self.amounts, claim.amounts)
        for protocol, number, address in claim.ports:
            self._ports.setdefault((protocol, number), Counter())[address] += 1

    def take(self, claim: Claim) -> None:
        """Count a pod no more."""
        for name, amount in claim.amounts.items():
            self.amounts[name] -= amount
        for protocol, number, address in claim.ports:
            held = self._ports[protocol, number]
            held[address] -= 1
            if not held[address]:
                del held[address]
            if not held:
                del self._ports[protocol, number]

    def short(self, claim: Claim, allocatable: Amounts) -> Shortage | None:
        """Return the first resource of which there is too little for a pod."""
        for name in sorted(claim.amounts, key=lambda each: (_ORDER.get(each, len(_ORDER)), each)):
            used, capacity = self.amounts.get(name, 0), allocatable.get(name, 0)
            if used + claim.amounts[name] > capacity:
                return Shortage(name, claim.amounts[name], used, capacity)
        return None

    def conflicts(self, claim: Claim) -> bool:
        """Tell whether a host port of a pod is taken."""
        return any(self._is_taken(port) for port in claim.ports)

    def _is_taken(self, port: HostPort) -> bool:
        protocol, number, address = port
        held = self._ports.get((protocol, number))
        return held is not None and (address == "" or "" in held or address in held)


def claim_of(pod: Body) -> Claim:
    """Return what a pod takes.

    Raises:
        ValueError: A quantity in it cannot be read.
    """
    spec = pod["spec"]
    return Claim(
        uid=Uid(pod["metadata"]["uid"]),
        amounts=pod_charge(spec, tier_of(pod)),
        ports=frozenset(_host_ports(spec)),
        rank=rank_of(pod),
        critical=is_critical(pod),
        priority=int(spec.get("priority") or 0),
        quality=_CLASSES[qos_class(pod)],
    )


def rank_of(pod: Body) -> Rank:
    """Return a pod's place among all: the same on every start of the agent, cut off or not."""
    metadata = pod["metadata"]
    priority = int(pod["spec"].get("priority") or 0)
    return not is_critical(pod), -priority, str(metadata.get("creationTimestamp") or ""), str(metadata["uid"])


def total(claims: Iterable[Claim]) -> Sums:
    """Return the sums of some pods."""
    sums = Sums()
    for claim in claims:
        sums.put(claim)
    return sums


def _host_ports(spec: Body) -> Iterator[HostPort]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or ""
                known = "" if address in _EVERYWHERE else address
                yield port.get("protocol") or "TCP", int(port["hostPort"]), known
