"""What a whole pod may use, by Kubernetes' rules: the sums that its control group is held to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from protocol.objects.keys import Body
from protocol.objects.quantities import base_units

Part = Literal["requests", "limits"]


@dataclass(frozen=True, slots=True)
class PodResources:
    """What a pod requests, and what it cannot exceed.

    Attributes:
        cpu_request_m: Thousandths of a core; 0 where nothing is requested.
        cpu_limit_m: Thousandths of a core; None where some container has no limit.
        memory_request_bytes: Bytes; 0 where nothing is requested.
        memory_limit_bytes: Bytes; None where some container has no limit.
    """

    cpu_request_m: int = 0
    cpu_limit_m: int | None = None
    memory_request_bytes: int = 0
    memory_limit_bytes: int | None = None


def pod_resources(spec: Body) -> PodResources:
    """Return what the containers of a pod with ``spec`` request and are limited to together.

    Ordinary containers and sidecars (init containers that restart always) run together; an init container runs with the
    sidecars before it; the pod needs the larger of the two, and its overhead on top. What the pod itself states stands
    in for the sum. A request that is not stated takes the limit.
    """
    return PodResources(
        cpu_request_m=_total(spec, "requests", "cpu") or 0,
        cpu_limit_m=_total(spec, "limits", "cpu"),
        memory_request_bytes=_total(spec, "requests", "memory") or 0,
        memory_limit_bytes=_total(spec, "limits", "memory"),
    )


def _total(spec: Body, part: Part, name: str) -> int | None:
    """Return the pod's amount; None where it is not bounded."""
    amount = _amount(spec, part, name)
    if amount is None:
        amount = _sum_of_containers(spec, part, name)
    overhead = (spec.get("overhead") or {}).get(name)
    if amount is None or overhead is None:
        return amount
    return amount + base_units(name, overhead)


def _sum_of_containers(spec: Body, part: Part, name: str) -> int | None:
    running = [_amount(each, part, name) for each in spec.get("containers") or ()]
    peaks: list[int | None] = []
    for container in spec.get("initContainers") or ():
        amount = _amount(container, part, name)
        if container.get("restartPolicy") == "Always":
            running.append(amount)
        sidecars = running[len(spec.get("containers") or ()) :]
        peaks.append(_sum(sidecars if container.get("restartPolicy") == "Always" else [*sidecars, amount], part))
    totals = [_sum(running, part), *peaks]
    return None if None in totals else max(total for total in totals if total is not None)


def _sum(amounts: Iterable[int | None], part: Part) -> int | None:
    """Return the sum; of limits, None where one is missing."""
    amounts = list(amounts)
    if part == "limits" and (not amounts or None in amounts):
        return None
    return sum(amount or 0 for amount in amounts)


def _amount(holder: Body, part: Part, name: str) -> int | None:
    resources = holder.get("resources") or {}
    stated = (resources.get(part) or {}).get(name)
    if stated is None and part == "requests":
        stated = (resources.get("limits") or {}).get(name)
    amount = None if stated is None else base_units(name, stated)
    return amount or (None if part == "limits" else amount)
