"""Sizes during a rollout: how far the new ReplicaSet may grow and the old ones must shrink.

Invariants, whatever the pods do: the wanted pods never exceed ``replicas + maxSurge``, and pods are only taken away
while at least ``replicas - maxUnavailable`` others are available.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudcore.controllers.deployment import model
from cloudcore.controllers.deployment.actions import ChangeReplicaSet
from cloudcore.controllers.deployment.templates import size_annotations
from protocol.objects.keys import Body


def new_size(deployment: Body, new: Body | None, everything: Sequence[Body]) -> int:
    """Return the size that the new ReplicaSet should have now (``new`` None: be created with)."""
    wanted, present = model.replicas(deployment), 0 if new is None else model.replicas(new)
    if not model.is_rolling(deployment) or present >= wanted:
        return wanted
    room = wanted + model.max_surge(deployment) - model.total_replicas(everything)
    return present + max(0, min(room, wanted - present))


def shrink_old(deployment: Body, new: Body, old: Sequence[Body]) -> dict[str, int]:
    """Return the new sizes of old ReplicaSets, by name; those that keep theirs are left out.

    Pods that are not available go first: they serve nobody, and may be what keeps the rollout from moving on.
    """
    sizes = {entry["metadata"]["name"]: model.replicas(entry) for entry in old}
    before = dict(sizes)
    minimum = model.replicas(deployment) - model.max_unavailable(deployment)
    new_unavailable = model.replicas(new) - model.surely_available(new)
    room = model.total_replicas([*old, new]) - minimum - new_unavailable
    for entry in model.by_age(old):
        name = entry["metadata"]["name"]
        cut = min(max(0, room), model.surely_unavailable(entry))
        sizes[name] -= cut
        room -= cut
    spare = sum(model.surely_available(entry) for entry in [*old, new]) - minimum
    for entry in model.by_age(old):
        name = entry["metadata"]["name"]
        cut = min(max(0, spare), max(0, room), sizes[name])
        sizes[name] -= cut
        spare -= cut
        room -= cut
    return {name: size for name, size in sizes.items() if size != before[name]}


def resize(deployment: Body, replicaset: Body, size: int) -> ChangeReplicaSet:
    """Return the action that gives ``replicaset`` a size."""
    return ChangeReplicaSet(replicaset, replicas=size, annotations=size_annotations(deployment))
