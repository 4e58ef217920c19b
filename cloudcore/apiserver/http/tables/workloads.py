"""``kubectl get`` of the kinds that make pods."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.durations import human_duration, seconds_since
from cloudcore.apiserver.http.tables.printers import (
    AGE,
    NAME,
    Cells,
    Column,
    at,
    created,
    joined,
    labels_text,
    printer,
    wide,
)
from protocol.objects.keys import Body

_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector_text(selector: Body | None) -> str:
    """Return a label selector as kubectl writes it: ``app=web,tier in (a,b),!old``."""
    if not selector:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        values = ",".join(sorted(expression.get("values") or ()))
        if operator in _OPERATORS:
            parts.append(f"{key} {_OPERATORS[operator]} ({values})")
        else:
            parts.append(key if operator == "Exists" else f"!{key}")
    return joined(parts)


def template_cells(body: Body) -> Cells:
    """Return the CONTAINERS and IMAGES cells of a workload's pod template."""
    containers = at(body, "spec", "template", "spec", "containers") or ()
    return [joined(c.get("name", "") for c in containers), joined(c.get("image", "") for c in containers)]


_WIDE = (wide("Containers"), wide("Images"), wide("Selector"))


def _number(body: Body, *path: str) -> int:
    return at(body, *path) or 0


def _desired(body: Body) -> int:
    replicas = at(body, "spec", "replicas")
    return 1 if replicas is None else int(replicas)


@printer(
    "deployments.apps", NAME, Column("Ready"), Column("Up-to-date", "integer"), Column("Available", "integer"), AGE,
    *_WIDE,
)  # fmt: skip
def deployment_cells(body: Body, now: float) -> Cells:
    """Return a Deployment's row."""
    return [
        body["metadata"]["name"],
        f"{_number(body, 'status', 'readyReplicas')}/{_desired(body)}",
        _number(body, "status", "updatedReplicas"),
        _number(body, "status", "availableReplicas"),
        created(body, now),
        *template_cells(body),
        selector_text(at(body, "spec", "selector")),
    ]


@printer(
    "replicasets.apps", NAME, Column("Desired", "integer"), Column("Current", "integer"), Column("Ready", "integer"),
    AGE, *_WIDE,
)  # fmt: skip
def replicaset_cells(body: Body, now: float) -> Cells:
    """Return a ReplicaSet's row."""
    return [
        body["metadata"]["name"],
        _desired(body),
        _number(body, "status", "replicas"),
        _number(body, "status", "readyReplicas"),
        created(body, now),
        *template_cells(body),
        selector_text(at(body, "spec", "selector")),
    ]


@printer("statefulsets.apps", NAME, Column("Ready"), AGE, *_WIDE[:2])
def statefulset_cells(body: Body, now: float) -> Cells:
    """Return a StatefulSet's row."""
    ready = f"{_number(body, 'status', 'readyReplicas')}/{_desired(body)}"
    return [body["metadata"]["name"], ready, created(body, now), *template_cells(body)]


@printer(
    "daemonsets.apps", NAME, Column("Desired", "integer"), Column("Current", "integer"), Column("Ready", "integer"),
    Column("Up-to-date", "integer"), Column("Available", "integer"), Column("Node Selector"), AGE, *_WIDE,
)  # fmt: skip
def daemonset_cells(body: Body, now: float) -> Cells:
    """Return a DaemonSet's row."""
    return [
        body["metadata"]["name"],
        _number(body, "status", "desiredNumberScheduled"),
        _number(body, "status", "currentNumberScheduled"),
        _number(body, "status", "numberReady"),
        _number(body, "status", "updatedNumberScheduled"),
        _number(body, "status", "numberAvailable"),
        labels_text(at(body, "spec", "template", "spec", "nodeSelector")),
        created(body, now),
        *template_cells(body),
        selector_text(at(body, "spec", "selector")),
    ]


@printer("jobs.batch", NAME, Column("Status"), Column("Completions"), Column("Duration"), AGE, *_WIDE)
def job_cells(body: Body, now: float) -> Cells:
    """Return a Job's row."""
    return [
        body["metadata"]["name"],
        _job_status(body),
        _completions(body),
        _job_duration(body, now),
        created(body, now),
        *template_cells(body),
        selector_text(at(body, "spec", "selector")),
    ]


def _completions(body: Body) -> str:
    succeeded, wanted = _number(body, "status", "succeeded"), at(body, "spec", "completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallel = _number(body, "spec", "parallelism")
    return f"{succeeded}/1 of {parallel}" if parallel > 1 else f"{succeeded}/1"


def _job_status(body: Body) -> str:
    true = {c.get("type") for c in at(body, "status", "conditions") or () if c.get("status") == "True"}
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition in true:
            return word
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((word for word in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if word in true), "Running")


def _job_duration(body: Body, now: float) -> str:
    started = seconds_since(at(body, "status", "startTime"), now)
    if started is None:
        return ""
    ended = seconds_since(at(body, "status", "completionTime"), now)
    return human_duration(started - (ended or 0.0))
