"""The deployment controller's decisions: from what is observed to actions and a status. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudcore.controllers.deployment import model, rolling, scaling, status, templates
from cloudcore.controllers.deployment.actions import (
    Action,
    ChangeReplicaSet,
    CreateReplicaSet,
    DeleteReplicaSet,
    RecordRevision,
)
from cloudcore.controllers.pods import is_deleting
from protocol.objects.keys import Body


@dataclass(frozen=True, slots=True)
class Observed:
    """What a decision rests on.

    Attributes:
        deployment: The Deployment.
        replicasets: All ReplicaSets that it owns.
        pods_left: By ReplicaSet uid, how many of its pods have not ended yet, those being deleted included; only
            ``Recreate`` asks.
    """

    deployment: Body
    replicasets: Sequence[Body]
    pods_left: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        actions: In this order.
        status: The status as observed, before the actions.
        requeue_s: When to look again whatever happens; None: only on a change.
    """

    actions: tuple[Action, ...]
    status: Body
    requeue_s: float | None = None


def plan(observed: Observed, now: float) -> Plan:
    """Decide on the next step; ``now`` is epoch seconds."""
    deployment = observed.deployment
    new = templates.find_new(deployment, observed.replicasets)
    report = status.deployment_status(deployment, new, observed.replicasets, now)
    if is_deleting(deployment):
        return Plan((), report)
    told = status.pause_conditions(deployment, now)
    if told is not None:
        return Plan((), {**(deployment.get("status") or {}), "conditions": told}, requeue_s=0.0)
    actions = _next_step(observed, new, report)
    return Plan(tuple(actions), report, status.deadline_left_s(deployment, report, now))


def _next_step(observed: Observed, new: Body | None, report: Body) -> list[Action]:
    deployment, everything = observed.deployment, observed.replicasets
    old = [entry for entry in everything if entry is not new]
    book = _bookkeeping(deployment, new, old)
    paused = bool(deployment["spec"].get("paused"))
    if paused or scaling.is_scaling(deployment, everything):
        sized = scaling.plan_scale(deployment, new, everything)
        if sized or paused:
            return [*book, *(sized or _clean_up(deployment, old))]
    step = _roll(deployment, new, old) if model.is_rolling(deployment) else _recreate(observed, new, old)
    if not step and model.is_complete(deployment, report):
        step = _clean_up(deployment, old)
    return [*book, *step]


def _roll(deployment: Body, new: Body | None, old: Sequence[Body]) -> list[Action]:
    if new is None:
        return [_create(deployment, old, rolling.new_size(deployment, None, old))]
    size = rolling.new_size(deployment, new, [*old, new])
    if size != model.replicas(new):
        return [rolling.resize(deployment, new, size)]
    sizes = rolling.shrink_old(deployment, new, old)
    return [
        rolling.resize(deployment, entry, sizes[entry["metadata"]["name"]])
        for entry in old
        if entry["metadata"]["name"] in sizes
    ]


def _recreate(observed: Observed, new: Body | None, old: Sequence[Body]) -> list[Action]:
    """Take all old pods away, wait until the last one has really ended, then create the new ones."""
    deployment = observed.deployment
    running = model.active(old)
    if running:
        return [rolling.resize(deployment, entry, 0) for entry in running]
    if any(observed.pods_left.get(entry["metadata"]["uid"], 0) for entry in old):
        return []
    if new is None:
        return [_create(deployment, old, model.replicas(deployment))]
    wanted = model.replicas(deployment)
    return [] if model.replicas(new) == wanted else [rolling.resize(deployment, new, wanted)]


def _create(deployment: Body, old: Sequence[Body], size: int) -> CreateReplicaSet:
    collisions = model.observed(deployment, "collisionCount")
    return CreateReplicaSet(templates.new_replicaset(deployment, collisions, next_revision(old), size))


def next_revision(old: Sequence[Body]) -> int:
    """Return the revision of the present template: one more than the highest among the others."""
    return max((model.revision(entry) for entry in old), default=0) + 1


def _bookkeeping(deployment: Body, new: Body | None, old: Sequence[Body]) -> list[Action]:
    """Keep revision numbers, and what a ReplicaSet takes over from its Deployment, up to date."""
    if new is None:
        return []
    actions: list[Action] = []
    wanted = dict(templates.inherited(deployment))
    current, target = model.revision(new), next_revision(old)
    if current < target:  # a rollback has made an old template the present one
        wanted[model.REVISION] = str(target)
        if current:
            history = model.annotation(new, model.REVISION_HISTORY)
            wanted[model.REVISION_HISTORY] = f"{history},{current}" if history else str(current)
    changed = {name: value for name, value in wanted.items() if model.annotation(new, name) != value}
    min_ready_s: int | None = deployment["spec"].get("minReadySeconds", 0)
    if min_ready_s == new["spec"].get("minReadySeconds", 0):
        min_ready_s = None
    if changed or min_ready_s is not None:
        actions.append(ChangeReplicaSet(new, annotations=changed, min_ready_s=min_ready_s))
    number = str(max(current, target))
    if model.annotation(deployment, model.REVISION) != number:
        actions.append(RecordRevision(number))
    return actions


def _clean_up(deployment: Body, old: Sequence[Body]) -> list[Action]:
    """Delete the old ReplicaSets that the history has no room for, the lowest revisions first."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == model.NO_DEADLINE:
        return []
    spent = [entry for entry in old if _is_spent(entry)]
    doomed = sorted(spent, key=model.revision)[: max(0, len(spent) - limit)]
    return [DeleteReplicaSet(entry) for entry in doomed]


def _is_spent(replicaset: Body) -> bool:
    empty = model.replicas(replicaset) == 0 and model.observed(replicaset, "replicas") == 0
    return model.is_current(replicaset) and empty and not is_deleting(replicaset)
