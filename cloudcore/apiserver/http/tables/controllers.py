"""``kubectl get`` of replication controllers, pod templates, revisions and cron jobs."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.durations import age
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
from cloudcore.apiserver.http.tables.workloads import selector_text, template_cells
from protocol.objects.keys import Body


@printer(
    "replicationcontrollers", NAME, Column("Desired", "integer"), Column("Current", "integer"),
    Column("Ready", "integer"), AGE, wide("Containers"), wide("Images"), wide("Selector"),
)  # fmt: skip
def replication_controller_cells(body: Body, now: float) -> Cells:
    """Return a ReplicationController's row."""
    desired = at(body, "spec", "replicas")
    return [
        body["metadata"]["name"],
        1 if desired is None else desired,
        at(body, "status", "replicas") or 0,
        at(body, "status", "readyReplicas") or 0,
        created(body, now),
        *template_cells(body),
        labels_text(at(body, "spec", "selector")),
    ]


@printer("podtemplates", NAME, Column("Containers"), Column("Images"), Column("Pod Labels"))
def podtemplate_cells(body: Body, now: float) -> Cells:
    """Return a PodTemplate's row."""
    del now
    containers = at(body, "template", "spec", "containers") or ()
    return [
        body["metadata"]["name"],
        joined(each.get("name", "") for each in containers),
        joined(each.get("image", "") for each in containers),
        labels_text(at(body, "template", "metadata", "labels")),
    ]


@printer("controllerrevisions.apps", NAME, Column("Controller"), Column("Revision", "integer"), AGE)
def controller_revision_cells(body: Body, now: float) -> Cells:
    """Return a ControllerRevision's row."""
    metadata = body["metadata"]
    owner = next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
    controller = "<none>"
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = f"{owner['kind']}.{group}" if group else owner["kind"]
        controller = f"{kind.lower()}/{owner['name']}"
    return [metadata["name"], controller, body.get("revision", 0), created(body, now)]


@printer(
    "cronjobs.batch", NAME, Column("Schedule"), Column("Timezone"), Column("Suspend"), Column("Active", "integer"),
    Column("Last Schedule"), AGE, wide("Containers"), wide("Images"), wide("Selector"),
)  # fmt: skip
def cronjob_cells(body: Body, now: float) -> Cells:
    """Return a CronJob's row."""
    last = at(body, "status", "lastScheduleTime")
    job = at(body, "spec", "jobTemplate") or {}
    return [
        body["metadata"]["name"],
        at(body, "spec", "schedule") or "",
        at(body, "spec", "timeZone") or "<none>",
        str(bool(at(body, "spec", "suspend"))),
        len(at(body, "status", "active") or ()),
        age(last, now) if last else "<none>",
        created(body, now),
        *template_cells(job),
        selector_text(at(job, "spec", "selector")),
    ]
