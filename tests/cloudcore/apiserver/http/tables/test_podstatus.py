from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.http.tables.podstatus import summarise
from protocol.objects.keys import Body


def container(state: Body, *, ready: bool = False, restarts: int = 0, **more: Any) -> Body:
    return {"name": "c", "state": state, "ready": ready, "restartCount": restarts, **more}


RUNNING: Body = {"running": {}}


def terminated(code: int = 0, **more: Any) -> Body:
    return {"terminated": {"exitCode": code, **more}}


def waiting(reason: str) -> Body:
    return {"waiting": {"reason": reason}}


def pod(*containers: Body, init: list[Body] | None = None, spec: Body | None = None, **status: Any) -> Body:
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c"} for _ in containers], **(spec or {})},
        "status": {
            "phase": "Running",
            "containerStatuses": list(containers),
            "initContainerStatuses": init or [],
            **status,
        },
    }


@pytest.mark.parametrize(
    ("body", "reason", "ready"),
    [
        (pod(phase="Pending"), "Pending", (0, 0)),
        (pod(container(RUNNING, ready=True)), "Running", (1, 1)),
        (pod(container(RUNNING)), "Running", (0, 1)),
        (pod(container(waiting("CrashLoopBackOff"))), "CrashLoopBackOff", (0, 1)),
        (pod(container(waiting("ContainerCreating")), phase="Pending"), "ContainerCreating", (0, 1)),
        (pod(container(terminated(reason="Completed")), phase="Succeeded"), "Completed", (0, 1)),
        (pod(container(terminated(1, reason="Error")), phase="Failed"), "Error", (0, 1)),
        (pod(container(terminated(3)), phase="Failed"), "ExitCode:3", (0, 1)),
        (pod(container(terminated(137, signal=9)), phase="Failed"), "Signal:9", (0, 1)),
        (pod(phase="Failed", reason="Evicted"), "Evicted", (0, 0)),
        (
            pod(container(terminated(reason="Completed")), container(RUNNING, ready=True)),
            "NotReady",
            (1, 2),
        ),
        (
            pod(
                container(terminated(reason="Completed")),
                container(RUNNING, ready=True),
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "Running",
            (1, 2),
        ),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}], phase="Pending"),
            "SchedulingGated",
            (0, 0),
        ),
    ],
)
def test_reason_and_readiness(body: Body, reason: str, ready: tuple[int, int]) -> None:
    summary = summarise(body)
    assert summary.reason == reason
    assert (summary.ready, summary.total) == ready


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RUNNING, "Init:0/2"),
        (waiting("PodInitializing"), "Init:0/2"),
        (waiting("ImagePullBackOff"), "Init:ImagePullBackOff"),
        (terminated(1, reason="Error"), "Init:Error"),
        (terminated(2), "Init:ExitCode:2"),
        (terminated(2, signal=15), "Init:Signal:15"),
    ],
)
def test_a_pod_that_initialises(state: Body, reason: str) -> None:
    spec = {"initContainers": [{"name": "a"}, {"name": "b"}]}
    body = pod(container({}), init=[container(state, restarts=2)], spec=spec, phase="Pending")
    summary = summarise(body)
    assert summary.reason == reason
    assert summary.restarts == 2


def test_init_containers_that_are_through_do_not_count() -> None:
    spec = {"initContainers": [{"name": "c"}]}
    body = pod(container(RUNNING, ready=True, restarts=1), init=[container(terminated(), restarts=5)], spec=spec)
    summary = summarise(body)
    assert (summary.reason, summary.restarts) == ("Running", 1)


def test_a_sidecar_counts_as_a_container() -> None:
    spec = {"initContainers": [{"name": "c", "restartPolicy": "Always"}]}
    sidecar = container(RUNNING, ready=True, restarts=2, started=True)
    body = pod(container(RUNNING, ready=True, restarts=1), init=[sidecar], spec=spec)
    summary = summarise(body)
    assert (summary.ready, summary.total, summary.restarts) == (2, 2, 3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (pod(container(RUNNING, ready=True)), "Terminating"),
        (pod(reason="NodeLost"), "Unknown"),
        (pod(container(terminated(reason="Completed")), phase="Succeeded"), "Completed"),
    ],
)
def test_a_pod_that_goes(body: Body, reason: str) -> None:
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert summarise(body).reason == reason


def test_restarts_say_when() -> None:
    last = {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}}
    body = pod(container(RUNNING, ready=True, restarts=3, lastState=last))
    assert summarise(body).restarts_text(1_767_225_600 + 300) == "3 (5m ago)"
    assert summarise(pod(container(RUNNING, restarts=3))).restarts_text(0) == "3"
    assert summarise(pod(container(RUNNING))).restarts_text(0) == "0"


def test_a_pod_without_status_is_unknown() -> None:
    assert summarise({"metadata": {"name": "p"}}).reason == "Unknown"
