"""What controllers ask about pods: active, ready, available, and which to delete first.

Source: Kubernetes' documented pod semantics and the ReplicaSet's ranking of pods for deletion.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_terminated(pod: Body) -> bool:
    """Tell whether all containers have ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_deleting(body: Body) -> bool:
    """Tell whether a deletion has begun."""
    return bool(body["metadata"].get("deletionTimestamp"))


def is_active(pod: Body) -> bool:
    """Tell whether the pod counts towards its owner's replicas."""
    return not is_terminated(pod) and not is_deleting(pod)


def is_ready(pod: Body) -> bool:
    """Tell whether the pod's ``Ready`` condition is true."""
    return _ready_condition(pod) is not None


def ready_since(pod: Body) -> float | None:
    """Return since when (epoch seconds) the pod is ready; None when it is not. An unknown time counts as long ago."""
    condition = _ready_condition(pod)
    return None if condition is None else _seconds(condition.get("lastTransitionTime"))


def available_at(pod: Body, min_ready_s: int) -> float | None:
    """Return from when (epoch seconds) the pod counts as available; None when it is not ready."""
    since = ready_since(pod)
    return None if since is None else since + min_ready_s


def is_available(pod: Body, min_ready_s: int, now: float) -> bool:
    """Tell whether the pod has been ready for ``min_ready_s`` seconds; ``now`` is epoch seconds."""
    if min_ready_s == 0:
        return is_ready(pod)
    at = available_at(pod, min_ready_s)
    return at is not None and at <= now


def deletion_order(pods: Iterable[Body], now: float) -> list[Body]:
    """Return ``pods``, the first to delete first.

    Unbound before bound, Pending before Running, not ready before ready, cheap before dear, on crowded nodes before
    on others, ready for a short time before long (on a logarithmic scale), much restarted before little, young
    before old.
    """
    listed = list(pods)
    crowd = Counter(_node(pod) for pod in listed)
    return sorted(listed, key=lambda pod: _rank(pod, crowd[_node(pod)], now))


def _ready_condition(pod: Body) -> Body | None:
    condition = find_condition(pod.get("status", {}).get("conditions"), "Ready")
    return condition if condition is not None and condition.get("status") == "True" else None


def _rank(pod: Body, on_its_node: int, now: float) -> tuple[float | str, ...]:
    since = ready_since(pod)
    return (
        1 if _node(pod) else 0,
        _PHASE_RANK.get(pod.get("status", {}).get("phase", "Pending"), 0),
        0 if since is None else 1,
        _deletion_cost(pod),
        -on_its_node,
        0 if since is None else _age_rank(since, now),
        -_restarts(pod),
        _age_rank(_seconds(pod["metadata"].get("creationTimestamp")), now),
        pod["metadata"].get("uid", ""),  # equal otherwise: a steady order, so that a repeat picks the same pods
    )


def _age_rank(since: float, now: float) -> float:
    """Return 0 for what is young, more for older; doubling the age adds one."""
    age_s = now - since
    return math.floor(math.log2(age_s)) if age_s >= 1 else 0


def _deletion_cost(pod: Body) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _restarts(pod: Body) -> int:
    statuses: list[Body] = pod.get("status", {}).get("containerStatuses") or []
    return max((status.get("restartCount", 0) for status in statuses), default=0)


def _node(pod: Body) -> str:
    name: str = pod.get("spec", {}).get("nodeName") or ""
    return name


def _seconds(timestamp: str | None) -> float:
    return parse_timestamp(timestamp) if timestamp else 0.0
