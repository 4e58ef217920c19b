"""SLA tiers: how much of a node a pod takes, by the one formula that scheduler and device share.

Theory. A pod of the tiers ``high``, ``medium`` and ``low`` (label ``edge.aiokubeedge.io/sla``) is charged by its
ceiling, not by its request, in the resources that its control group is held to, cpu and memory::

    Σ 0.9·limit(high) + Σ limit(medium)/1.2 + Σ limit(low)/1.5 ≤ allocatable, per resource

So the ceilings of medium pods may come to 1.2 times what they are charged, those of low pods to 1.5 times, and a high
pod's nine tenths are never lent: no charge of another pod can enter them. Details that the formula leaves open:

- A pod without the label, or with a value that is none of the three, is charged its requests, as in Kubernetes.
- A container's ceiling is its limit; its request where it states no limit; nothing where it states neither. A pod-level
  limit stands in for the containers'. Init containers and sidecars count by Kubernetes' rule for requests.
- Overhead is the sandbox's own use, and other resources (storage, devices) cannot be given back by throttling: both are
  charged in full, as requested.
- Charges are rounded up, so that their sum never says less than the formula.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from protocol.objects.keys import Body
from protocol.objects.podrequests import (
    CPU,
    MEMORY,
    Amounts,
    effective,
    limited,
    requested,
    with_overhead,
)
from protocol.objects.wellknown import SLA

Tier = Literal["high", "medium", "low"]

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)
OVERCOMMITTED: Final = (CPU, MEMORY)
"""The resources that tiers are about."""

_SHARES: Final[dict[Tier, tuple[int, int]]] = {"high": (9, 10), "medium": (10, 12), "low": (10, 15)}
"""Charge per ceiling, as numerator and denominator: exact, where 0.9 and 1/1.2 are not."""


def tier_of(pod: Body) -> Tier | None:
    """Return the pod's tier; None where its label names none."""
    value = (pod["metadata"].get("labels") or {}).get(SLA)
    return next((tier for tier in TIERS if tier == value), None)


def charged(tier: Tier, ceiling: int) -> int:
    """Return what a ceiling of ``ceiling`` base units is charged in ``tier``, rounded up."""
    numerator, denominator = _SHARES[tier]
    return -(-ceiling * numerator // denominator)


def pod_ceilings(spec: Body) -> Amounts:
    """Return what the pod's containers may take at most, in each resource that they state.

    Raises:
        ValueError: A quantity cannot be read.
    """
    return effective(spec, limited) | limited(spec)


def pod_charge(spec: Body, tier: Tier | None) -> Amounts:
    """Return what a pod with ``spec`` takes of its node, zeros left out, with one of ``pods``.

    Args:
        spec: The pod's spec.
        tier: Its tier, from :func:`tier_of`.

    Raises:
        ValueError: A quantity cannot be read.
    """
    total = effective(spec, requested) | requested(spec)
    if tier is not None:
        ceilings = pod_ceilings(spec)
        total |= {name: charged(tier, ceilings[name]) for name in OVERCOMMITTED if name in ceilings}
    return with_overhead(total, spec)
