"""Scaling a Deployment while it is paused or in the middle of a rollout: proportionally, to spread the risk."""

from __future__ import annotations

from collections.abc import Sequence

from cloudcore.controllers.deployment import model
from cloudcore.controllers.deployment.actions import Action
from cloudcore.controllers.deployment.rolling import resize
from cloudcore.controllers.deployment.templates import size_annotations
from protocol.objects.keys import Body


def is_scaling(deployment: Body, replicasets: Sequence[Body]) -> bool:
    """Tell whether the wanted size has changed since the ReplicaSets were last sized."""
    wanted = model.replicas(deployment)
    remembered = [model.number(model.annotation(entry, model.DESIRED_REPLICAS)) for entry in model.active(replicasets)]
    return any(desired is not None and desired != wanted for desired in remembered)


def plan_scale(deployment: Body, new: Body | None, replicasets: Sequence[Body]) -> list[Action]:
    """Return the changes of size that the Deployment's own size asks for."""
    wanted = model.replicas(deployment)
    running = model.active(replicasets)
    if len(running) <= 1:
        only = running[0] if running else new or next(reversed(model.by_age(replicasets)), None)
        return [] if only is None or model.replicas(only) == wanted else [resize(deployment, only, wanted)]
    if new is not None and _is_saturated(deployment, new):
        return [resize(deployment, entry, 0) for entry in running if entry is not new]
    return _proportional(deployment, running) if model.is_rolling(deployment) else []


def _is_saturated(deployment: Body, new: Body) -> bool:
    wanted = model.replicas(deployment)
    desired = model.number(model.annotation(new, model.DESIRED_REPLICAS))
    return model.replicas(new) == desired == wanted == model.observed(new, "availableReplicas")


def _proportional(deployment: Body, running: Sequence[Body]) -> list[Action]:
    wanted = model.replicas(deployment)
    allowed = wanted + model.max_surge(deployment) if wanted > 0 else 0
    missing = allowed - model.total_replicas(running)
    ordered = model.largest_first(running, newest=missing > 0)
    sizes = [model.replicas(entry) for entry in ordered]
    left = missing
    for place, entry in enumerate(ordered):
        share = _share(deployment, entry, left) if missing else 0
        sizes[place] += share
        left -= share
    sizes[0] = max(0, sizes[0] + left)  # what rounding left over
    remembered = size_annotations(deployment)
    return [
        resize(deployment, entry, size)
        for entry, size in zip(ordered, sizes, strict=True)
        if size != model.replicas(entry)
        or any(model.annotation(entry, name) != value for name, value in remembered.items())
    ]


def _share(deployment: Body, replicaset: Body, left: int) -> int:
    """Return by how much ``replicaset`` grows (or shrinks) of the ``left`` pods still to add (or take away)."""
    wanted, size = model.replicas(deployment), model.replicas(replicaset)
    if size == 0 or left == 0:
        return 0
    if wanted == 0:
        return max(-size, left)
    before = model.number(model.annotation(replicaset, model.MAX_REPLICAS)) or model.observed(deployment, "replicas")
    if before <= 0:
        return 0
    after = (2 * size * (wanted + model.max_surge(deployment)) + before) // (2 * before)
    fraction = after - size
    return min(max(fraction, 0), left) if left > 0 else max(min(fraction, 0), left, -size)
