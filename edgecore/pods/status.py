"""The status of a pod as Kubernetes states it, from what its containers do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgecore.pods.containers import Container, Kind, Phase
from edgecore.pods.lifecycles import Hook
from edgecore.pods.runtimes.base import ContainerState
from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body
from protocol.objects.qos import qos_class
from protocol.objects.times import timestamp

PENDING: Final = "Pending"
RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
MESSAGES_BYTES: Final = 12 * 1024
"""What a pod's termination messages may come to together; each container has an equal part."""
TERMINAL: Final = frozenset({SUCCEEDED, FAILED})
_DISRUPTED: Final[Body] = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pod's phase, and why it is that where the containers alone do not say.

    Attributes:
        phase: The phase.
        reason: Why, in CamelCase.
        message: Why, for people.
        disruption: Whether the node ends the pod for its own sake.
    """

    phase: str
    reason: str = ""
    message: str = ""
    disruption: bool = False


def phase_of(containers: Sequence[Container], restart_policy: str) -> str:
    """Return the phase that the containers amount to."""
    for container in containers:
        if container.kind is Kind.INIT and not container.succeeded:
            return FAILED if container.exit is not None and not container.restarts else PENDING
    mains = [container for container in containers if container.kind is Kind.MAIN]
    if any(container.previous is None and (container.current is None or _begins(container)) for container in mains):
        return PENDING
    if any(container.exit is None or container.restarts for container in mains):
        return RUNNING
    return SUCCEEDED if all(container.succeeded for container in mains) else FAILED


def phase_at_end(containers: Sequence[Container]) -> str:
    """Return the final phase of a pod that was stopped, by whether its work was done by then."""
    return SUCCEEDED if all(one.succeeded for one in containers if one.kind is not Kind.SIDECAR) else FAILED


def pod_status(
    pod: Body,
    containers: Sequence[Container],
    verdict: Verdict,
    *,
    volumes_ready: bool,
    host_ip: str,
    before: Body,
    at: str,
) -> Body:
    """Return the pod's ``status``.

    Args:
        pod: The pod.
        containers: Its containers, in the order they start.
        verdict: Its phase.
        volumes_ready: Whether what it needs is on disk.
        host_ip: The node's address; the pod's too where its runtime gives it no other.
        before: The status so far: start time and transition times are kept from it.
        at: The current time, as a Kubernetes timestamp.
    """
    address = _address(containers) or host_ip
    status: Body = {
        "phase": verdict.phase,
        "conditions": _conditions(containers, verdict, volumes_ready=volumes_ready, before=before, at=at),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": before.get("startTime", at),
        "qosClass": qos_class(pod),
        "containerStatuses": [
            _container_status(one, containers, verdict) for one in containers if one.kind is Kind.MAIN
        ],
    }
    inits = [_container_status(one, containers, verdict) for one in containers if one.kind is not Kind.MAIN]
    if verdict.phase == FAILED and verdict.reason and not any(one.attempt >= 0 for one in containers):
        # Refused: as with the kubelet there is nothing to be said of its containers, and kubectl shows the reason.
        inits, status["containerStatuses"] = [], []
    if inits:
        status["initContainerStatuses"] = inits
    if "generation" in pod["metadata"]:
        status["observedGeneration"] = pod["metadata"]["generation"]
    status.update({name: text for name, text in (("reason", verdict.reason), ("message", verdict.message)) if text})
    return status


def is_ready(container: Container) -> bool:
    """Tell whether the container counts as ready; an init container does when it is done."""
    return container.succeeded if container.kind is Kind.INIT else container.ready


def _begins(container: Container) -> bool:
    """Tell whether the container's postStart hook is under way, during which it does not count as running."""
    return container.hook is Hook.POST_START


def _address(containers: Sequence[Container]) -> str:
    """Return the pod's own address as the newest instance knows it; empty where there is none."""
    known = [one.current for one in containers if one.current is not None and one.current.address]
    return max(known, key=lambda state: state.started_at).address if known else ""


def _container_status(container: Container, containers: Sequence[Container], verdict: Verdict) -> Body:
    state = container.current
    room = MESSAGES_BYTES // len(containers)
    running = container.phase in (Phase.RUNNING, Phase.STOPPING) and not _begins(container)
    status: Body = {
        "name": container.name,
        "image": container.image,
        "imageID": state.image_id if state is not None else "",
        "ready": is_ready(container),
        "started": container.started if container.kind is not Kind.INIT else False,
        "restartCount": max(container.attempt, 0),
        "lastState": {},
    }
    newest = state if state is not None else container.previous
    if newest is not None:
        status["containerID"] = newest.runtime_id
    older = container.previous
    if running and state is not None:
        status["state"] = {"running": {"startedAt": timestamp(state.started_at)}}
    elif container.exit is not None and (verdict.phase in TERMINAL or not _backs_off(container)):
        assert state is not None
        status["state"] = {"terminated": _terminated(state, room)}
    else:
        status["state"] = {"waiting": _waiting(container, containers)}
        older = state if container.exit is not None else older
    if older is not None and older.exit is not None:
        status["lastState"] = {"terminated": _terminated(older, room)}
    return status


def _backs_off(container: Container) -> bool:
    return container.restarts and container.waiting.reason != "ContainerCreating"


def _waiting(container: Container, containers: Sequence[Container]) -> Body:
    reason, message = container.waiting.reason, container.waiting.message
    if reason == "ContainerCreating" and container.kind is Kind.MAIN and not inits_done(containers):
        reason = "PodInitializing"
    return {"reason": reason, "message": message} if message else {"reason": reason}


def _terminated(state: ContainerState, room: int) -> Body:
    ended = state.exit
    assert ended is not None
    body: Body = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": timestamp(state.started_at),
        "finishedAt": timestamp(ended.finished_at),
        "containerID": state.runtime_id,
    }
    if ended.signal:
        body["signal"] = ended.signal
    if ended.message:
        body["message"] = ended.message.encode()[:room].decode(errors="ignore")
    return body


def inits_done(containers: Sequence[Container]) -> bool:
    """Tell whether every init container has done its part."""
    return all(
        container.succeeded if container.kind is Kind.INIT else container.attempt >= 0
        for container in containers
        if container.kind is not Kind.MAIN
    )


def _conditions(
    containers: Sequence[Container], verdict: Verdict, *, volumes_ready: bool, before: Body, at: str
) -> list[Body]:
    waiting_inits = [c.name for c in containers if c.kind is Kind.INIT and not c.succeeded]
    waiting_inits += [c.name for c in containers if c.kind is Kind.SIDECAR and c.attempt < 0]
    unready = [c.name for c in containers if c.kind is not Kind.INIT and not is_ready(c)]
    initialized = _condition("Initialized", waiting_inits, "ContainersNotInitialized", "incomplete")
    ready = [_condition(kind, unready, "ContainersNotReady", "unready") for kind in ("Ready", "ContainersReady")]
    if verdict.phase in TERMINAL:
        reason = "PodCompleted" if verdict.phase == SUCCEEDED else "PodFailed"
        ready = [{"type": kind, "status": "False", "reason": reason} for kind in ("Ready", "ContainersReady")]
        if verdict.phase == SUCCEEDED:
            initialized = {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    prepared: Body = {
        "type": "PodReadyToStartContainers",
        "status": "True" if volumes_ready and verdict.phase not in TERMINAL else "False",
    }
    conditions: list[Body] = list(before.get("conditions") or ())
    scheduled = find_condition(conditions, "PodScheduled") or {"type": "PodScheduled", "status": "True"}
    disrupted = [{**_DISRUPTED, "message": verdict.message}] if verdict.disruption else []
    for condition in (prepared, initialized, *ready, scheduled, *disrupted):
        conditions = set_condition(conditions, condition, at=at)
    return conditions


def _condition(kind: str, missing: list[str], reason: str, what: str) -> Body:
    if not missing:
        return {"type": kind, "status": "True"}
    message = f"containers with {what} status: [{' '.join(missing)}]"
    return {"type": kind, "status": "False", "reason": reason, "message": message}
