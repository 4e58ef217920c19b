"""What the deployment controller reads from Deployments and ReplicaSets: numbers, names, annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from protocol.objects.keys import Body

REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS: Final = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS: Final = "deployment.kubernetes.io/max-replicas"
NO_DEADLINE: Final = 2**31 - 1
"""A ``progressDeadlineSeconds`` of this size means: none."""


def replicas(body: Body) -> int:
    """Return ``spec.replicas`` of a Deployment or ReplicaSet, which defaults to 1."""
    count = body["spec"].get("replicas")
    return 1 if count is None else int(count)


def total_replicas(replicasets: Iterable[Body]) -> int:
    """Return the sum of the wanted pods."""
    return sum(replicas(replicaset) for replicaset in replicasets)


def observed(body: Body, field: str) -> int:
    """Return a count of ``status``; absent means 0."""
    return int((body.get("status") or {}).get(field) or 0)


def total_observed(replicasets: Iterable[Body], field: str) -> int:
    """Return the sum of a count of the statuses."""
    return sum(observed(replicaset, field) for replicaset in replicasets)


def is_current(replicaset: Body) -> bool:
    """Tell whether the status was written knowing the present spec."""
    return observed(replicaset, "observedGeneration") >= int(replicaset["metadata"].get("generation", 0))


def surely_available(replicaset: Body) -> int:
    """Return how many pods of it are sure to be available.

    None is while the status is older than the spec: a ReplicaSet that was scaled down and up again would still show
    the pods it has lost in between. Nor is one that is no longer wanted.
    """
    return min(replicas(replicaset), observed(replicaset, "availableReplicas")) if is_current(replicaset) else 0


def surely_unavailable(replicaset: Body) -> int:
    """Return how many pods of it are sure not to be available; none while the status is older than the spec."""
    return replicas(replicaset) - surely_available(replicaset) if is_current(replicaset) else 0


def annotation(body: Body, name: str) -> str | None:
    """Return an annotation, or None."""
    value: str | None = (body["metadata"].get("annotations") or {}).get(name)
    return value


def number(text: str | None) -> int | None:
    """Return ``text`` as a whole number, or None where it is none."""
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def revision(body: Body) -> int:
    """Return the revision that an annotation records; 0 for none."""
    return number(annotation(body, REVISION)) or 0


def by_age(replicasets: Iterable[Body]) -> list[Body]:
    """Return ReplicaSets, the oldest first."""
    return sorted(replicasets, key=lambda body: (body["metadata"].get("creationTimestamp") or "", _name(body)))


def active(replicasets: Iterable[Body]) -> list[Body]:
    """Return those that want pods."""
    return [replicaset for replicaset in replicasets if replicas(replicaset) > 0]


def is_rolling(deployment: Body) -> bool:
    """Tell whether its strategy is ``RollingUpdate``, which is the default."""
    kind: str = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    return kind == "RollingUpdate"


def max_surge(deployment: Body) -> int:
    """Return how many pods more than wanted there may be."""
    return _bounds(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Body) -> int:
    """Return how many of the wanted pods may be unavailable during a rolling update."""
    if not is_rolling(deployment) or replicas(deployment) == 0:
        return 0
    return min(_bounds(deployment)[1], replicas(deployment))


def progress_deadline_s(deployment: Body) -> int | None:
    """Return the seconds without progress after which a rollout is called failed; None for no deadline."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def is_complete(deployment: Body, status: Body) -> bool:
    """Tell whether everything wanted is updated, available, and alone."""
    wanted = replicas(deployment)
    counts = [status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
    seen: int = status.get("observedGeneration", 0)
    return counts == [wanted] * 3 and seen >= int(deployment["metadata"].get("generation", 0))


def largest_first(replicasets: Sequence[Body], *, newest: bool) -> list[Body]:
    """Return ReplicaSets by size, the largest first; among equals the newest, or the oldest, first."""
    aged = by_age(replicasets)
    return sorted(reversed(aged) if newest else aged, key=replicas, reverse=True)


def _bounds(deployment: Body) -> tuple[int, int]:
    """Return surge (rounded up) and unavailable (rounded down); both 0 would never get anywhere."""
    settings = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas(deployment)
    surge = _resolve(settings.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _resolve(settings.get("maxUnavailable", "25%"), wanted, up=False)
    return (surge, 1) if surge == 0 and unavailable == 0 else (surge, unavailable)


def _resolve(value: int | str, of: int, *, up: bool) -> int:
    """Return an int-or-percent as a number; what is neither counts as 0 (validation keeps it out)."""
    if isinstance(value, int):
        return value
    percent = number(value.removesuffix("%"))
    if percent is None:
        return 0
    return math.ceil(percent * of / 100) if up else math.floor(percent * of / 100)


def _name(body: Body) -> str:
    name: str = body["metadata"]["name"]
    return name
