"""The Deployment's status: counts, and the conditions that ``kubectl rollout status`` and ``wait`` read.

Reasons and messages are Kubernetes' own, since programs compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cloudcore.controllers.deployment import model
from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp, timestamp

AVAILABLE_REASON: Final = "NewReplicaSetAvailable"
UPDATED_REASON: Final = "ReplicaSetUpdated"
FAILED_CREATE_REASON: Final = "ReplicaSetCreateError"
TIMED_OUT_REASON: Final = "ProgressDeadlineExceeded"
PAUSED_REASON: Final = "DeploymentPaused"
RESUMED_REASON: Final = "DeploymentResumed"


def deployment_status(deployment: Body, new: Body | None, replicasets: Sequence[Body], now: float) -> Body:
    """Return the status that was observed; ``now`` is epoch seconds."""
    before = deployment.get("status") or {}
    available = model.total_observed(replicasets, "availableReplicas")
    counts = {
        "replicas": model.total_observed(replicasets, "replicas"),
        "updatedReplicas": 0 if new is None else model.observed(new, "replicas"),
        "readyReplicas": model.total_observed(replicasets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, model.total_replicas(replicasets) - available),
    }
    status: Body = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        **{name: count for name, count in counts.items() if count},
        **({"collisionCount": before["collisionCount"]} if before.get("collisionCount") else {}),
    }
    conditions = _with_available(deployment, list(before.get("conditions") or ()), available, now)
    conditions = _with_failure(conditions, new, replicasets, now)
    status["conditions"] = _with_progress(deployment, conditions, status, new, now)
    return status


def deadline_left_s(deployment: Body, status: Body, now: float) -> float | None:
    """Return in how many seconds a rollout that does not move passes its deadline; None where none is running."""
    deadline_s = model.progress_deadline_s(deployment)
    condition = find_condition(status.get("conditions"), "Progressing")
    if deadline_s is None or condition is None or model.is_complete(deployment, status):
        return None
    if deployment["spec"].get("paused") or condition["reason"] in (AVAILABLE_REASON, TIMED_OUT_REASON):
        return None
    # Timestamps have whole seconds: look again a second after the deadline, or it may not have passed yet.
    return max(0.0, parse_timestamp(condition["lastUpdateTime"]) + deadline_s - now) + 1.0


def put_condition(
    conditions: Sequence[Body], kind: str, status: str, reason: str, message: str, now: float
) -> list[Body]:
    """Return ``conditions`` with one set; its times stay where neither status nor reason change."""
    before = find_condition(conditions, kind)
    if before is not None and (before["status"], before["reason"]) == (status, reason):
        return list(conditions)
    return refresh_condition(conditions, kind, status, reason, message, now)


def refresh_condition(
    conditions: Sequence[Body], kind: str, status: str, reason: str, message: str, now: float
) -> list[Body]:
    """Return ``conditions`` with one set and its ``lastUpdateTime`` brought to ``now``."""
    at = timestamp(now)
    new = {"type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": at}
    return set_condition(conditions, new, at=at)


def pause_conditions(deployment: Body, now: float) -> list[Body] | None:
    """Return the conditions that tell of a pause or its end; None where there is nothing to tell."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    if model.progress_deadline_s(deployment) is None:
        return None
    progressing = find_condition(conditions, "Progressing")
    reason = None if progressing is None else progressing["reason"]
    paused = bool(deployment["spec"].get("paused"))
    if reason == TIMED_OUT_REASON or paused == (reason == PAUSED_REASON):
        return None
    word = (PAUSED_REASON, "Deployment is paused") if paused else (RESUMED_REASON, "Deployment is resumed")
    return refresh_condition(conditions, "Progressing", "Unknown", *word, now)


def _with_available(deployment: Body, conditions: list[Body], available: int, now: float) -> list[Body]:
    if available >= model.replicas(deployment) - model.max_unavailable(deployment):
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return put_condition(conditions, "Available", *words, now)


def _with_failure(conditions: list[Body], new: Body | None, replicasets: Sequence[Body], now: float) -> list[Body]:
    """Show a ReplicaSet's failure to create pods, the new one's first."""
    ordered = ([new] if new is not None else []) + [entry for entry in replicasets if entry is not new]
    found = (find_condition((entry.get("status") or {}).get("conditions"), "ReplicaFailure") for entry in ordered)
    failure = next((condition for condition in found if condition is not None), None)
    if failure is None:
        return [condition for condition in conditions if condition["type"] != "ReplicaFailure"]
    words = (failure["status"], failure.get("reason", ""), failure.get("message", ""))
    return put_condition(conditions, "ReplicaFailure", *words, now)


def _with_progress(deployment: Body, conditions: list[Body], status: Body, new: Body | None, now: float) -> list[Body]:
    deadline_s = model.progress_deadline_s(deployment)
    if deadline_s is None:
        return [condition for condition in conditions if condition["type"] != "Progressing"]
    if deployment["spec"].get("paused"):
        return conditions
    current = find_condition(conditions, "Progressing")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and current is not None and current["reason"] == AVAILABLE_REASON:
        return conditions  # a rollout that has ended is not judged by its deadline again
    name = _who(deployment, new)
    if model.is_complete(deployment, status):
        return put_condition(
            conditions, "Progressing", "True", AVAILABLE_REASON, f"{name} has successfully progressed.", now
        )
    if current is None or _moved(deployment.get("status") or {}, status):
        return refresh_condition(conditions, "Progressing", "True", UPDATED_REASON, f"{name} is progressing.", now)
    if _timed_out(current, deadline_s, now):
        return put_condition(
            conditions, "Progressing", "False", TIMED_OUT_REASON, f"{name} has timed out progressing.", now
        )
    return conditions


def _who(deployment: Body, new: Body | None) -> str:
    kind, body = ("Deployment", deployment) if new is None else ("ReplicaSet", new)
    return f'{kind} "{body["metadata"]["name"]}"'


def _moved(before: Body, after: Body) -> bool:
    """Tell whether a rollout got on: more updated, fewer old, more ready or more available pods."""

    def old_ones(status: Body) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    more = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_ones(after) < old_ones(before) or any(after.get(name, 0) > before.get(name, 0) for name in more)


def _timed_out(current: Body, deadline_s: int, now: float) -> bool:
    if current["reason"] in (TIMED_OUT_REASON, AVAILABLE_REASON):
        return bool(current["reason"] == TIMED_OUT_REASON)
    return parse_timestamp(current["lastUpdateTime"]) + deadline_s < now
