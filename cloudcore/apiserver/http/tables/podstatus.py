"""The words and counts ``kubectl get pods`` shows, derived from a pod's status as kubectl's printer derives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloudcore.apiserver.http.tables.durations import human_duration, seconds_since
from protocol.objects.keys import Body

_TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class PodSummary:
    """A pod's READY, STATUS and RESTARTS.

    Attributes:
        ready: Containers that are ready.
        total: Containers that should be.
        reason: The one word for its state.
        restarts: How often its containers were restarted.
        last_restart: When the latest restarted container ended (RFC 3339); empty where unknown.
    """

    ready: int
    total: int
    reason: str
    restarts: int
    last_restart: str

    def restarts_text(self, now: float) -> str:
        """Return the RESTARTS cell: ``3`` or ``3 (5m ago)``."""
        since = seconds_since(self.last_restart, now)
        if self.restarts == 0 or since is None:
            return str(self.restarts)
        return f"{self.restarts} ({human_duration(since)} ago)"


@dataclass(slots=True)
class _Tally:
    """What has been counted so far over a list of container statuses."""

    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def add(self, container: Body) -> None:
        self.restarts += container.get("restartCount", 0)
        ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, ended)


def summarise(pod: Body) -> PodSummary:
    """Return what the pods table shows of ``pod``."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {
        container["name"]
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    tally = _Tally()
    init_tally, initialising = _init_containers(spec, status, sidecars, tally)
    reason = initialising or _pod_reason(status)
    if not initialising or _condition(status, "Initialized") == "True":
        reason = _containers(status, reason, tally)
    else:
        tally.restarts, tally.last_restart = init_tally.restarts, init_tally.last_restart
    total = len(spec.get("containers") or ()) + len(sidecars)
    return PodSummary(tally.ready, total, _deletion(pod, status, reason), tally.restarts, tally.last_restart)


def _pod_reason(status: Body) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _condition(status: Body, kind: str) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            return str(condition.get("status"))
    return ""


def _init_containers(spec: Body, status: Body, sidecars: set[str], tally: _Tally) -> tuple[_Tally, str]:
    """Return what all init containers count up to, and the reason while one of them is not through.

    ``tally`` receives what sidecars (restartable init containers) add to the pod's own counts.
    """
    all_of_them = _Tally()
    for position, container in enumerate(status.get("initContainerStatuses") or ()):
        all_of_them.add(container)
        sidecar = container.get("name") in sidecars
        if sidecar:
            tally.add(container)
        state = container.get("state") or {}
        if (state.get("terminated") or {}).get("exitCode") == 0 and state.get("terminated"):
            continue
        if sidecar and container.get("started"):
            tally.ready += bool(container.get("ready"))
            continue
        return all_of_them, _init_reason(state, position, spec)
    return all_of_them, ""


def _init_reason(state: Body, position: int, spec: Body) -> str:
    terminated, waiting = state.get("terminated"), state.get("waiting") or {}
    if terminated:
        return f"Init:{_terminated_reason(terminated)}"
    if waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{position}/{len(spec.get('initContainers') or ())}"


def _terminated_reason(terminated: Body) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _containers(status: Body, reason: str, tally: _Tally) -> str:
    running = False
    containers: Sequence[Any] = status.get("containerStatuses") or ()
    for container in reversed(containers):
        tally.add(container)
        state = container.get("state") or {}
        waiting_reason = (state.get("waiting") or {}).get("reason")
        if waiting_reason:
            reason = waiting_reason
        elif state.get("terminated"):
            reason = _terminated_reason(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
            tally.ready += 1
    if reason == "Completed" and running:
        return "Running" if _condition(status, "Ready") == "True" else "NotReady"
    return reason


def _deletion(pod: Body, status: Body, reason: str) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return reason
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return reason if status.get("phase") in _TERMINAL_PHASES else "Terminating"
