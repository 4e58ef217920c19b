"""Rules of Jobs and CronJobs.

Source: Kubernetes ``pkg/apis/batch/validation``.
"""

from __future__ import annotations

from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudcore.apiserver.validation.cron import schedule_error
from cloudcore.apiserver.validation.fields import invalid, one_of, required
from cloudcore.apiserver.validation.pods import check_pod_template
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.selectors import label_selector, matches

_NEGATIVE: Final = "must be greater than or equal to 0"
_IMMUTABLE: Final = "field is immutable"
_COUNTS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "ttlSecondsAfterFinished",
)
_COMPLETION_MODES: Final = frozenset({"Indexed", "NonIndexed"})
_REPLACEMENT: Final = frozenset({"Failed", "TerminatingOrFailed"})
_CONCURRENCY: Final = frozenset({"Allow", "Forbid", "Replace"})
_LONGEST_CRONJOB_NAME: Final = 52
"""A Job's name is the CronJob's and eleven characters more, and both have to fit a label."""
_CHANGEABLE_WHILE_SUSPENDED: Final = ("affinity", "nodeSelector", "schedulingGates", "tolerations")


def check_job(body: Body) -> list[Cause]:
    """Return what is wrong with a Job."""
    return _check_job_spec("spec", body["spec"]) + _check_job_selector(body["spec"])


def _check_job_spec(path: str, spec: Body) -> list[Cause]:
    causes = [invalid(f"{path}.{name}", spec[name], _NEGATIVE) for name in _COUNTS if spec.get(name, 0) < 0]
    if spec.get("completionMode") is not None:
        causes += one_of(f"{path}.completionMode", spec["completionMode"], _COMPLETION_MODES)
    if spec.get("podReplacementPolicy") is not None:
        causes += one_of(f"{path}.podReplacementPolicy", spec["podReplacementPolicy"], _REPLACEMENT)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        causes.append(required(f"{path}.completions", "when completion mode is Indexed"))
    template = spec.get("template") or {}
    causes += check_pod_template(f"{path}.template", template)
    if (template.get("spec") or {}).get("restartPolicy") not in {"OnFailure", "Never"}:
        why = 'valid values: "OnFailure", "Never"'
        causes.append(required(f"{path}.template.spec.restartPolicy", why))
    return causes


def _check_job_selector(spec: Body) -> list[Cause]:
    selector = spec.get("selector")
    if not selector:
        return [required("spec.selector")]
    wrong = check_label_selector("spec.selector", selector)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not wrong and not matches(label_selector(selector), labels):
        wrong = [invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")]
    return wrong


def check_job_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed Job: what its pods are like is fixed once it runs."""
    spec, before = body["spec"], old["spec"]
    names = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    if not _may_resize(spec, before):
        names.append("completions")
    causes = [
        invalid(f"spec.{name}", spec.get(name), _IMMUTABLE) for name in names if spec.get(name) != before.get(name)
    ]
    placed_later = before.get("suspend") and not (old.get("status") or {}).get("startTime")
    if _fixed(spec, placed_later=placed_later) != _fixed(before, placed_later=placed_later):
        causes.append(invalid("spec.template", spec.get("template"), _IMMUTABLE))
    return causes


def _may_resize(spec: Body, before: Body) -> bool:
    """Tell whether completions may change: of an indexed Job, together with parallelism."""
    return before.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")


def _fixed(spec: Body, *, placed_later: bool) -> Any:
    """Return what of a Job's template may not change: all, or for one that has not started, not where it runs."""
    template = spec.get("template") or {}
    if not placed_later:
        return template
    pod = {name: value for name, value in template.get("spec", {}).items() if name not in _CHANGEABLE_WHILE_SUSPENDED}
    return pod


def check_cronjob(body: Body) -> list[Cause]:
    """Return what is wrong with a CronJob."""
    spec, name = body["spec"], body["metadata"].get("name", "")
    causes = _check_schedule(spec.get("schedule", ""))
    causes += one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _CONCURRENCY)
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        if spec.get(field, 0) < 0:
            causes.append(invalid(f"spec.{field}", spec[field], _NEGATIVE))
    if spec.get("timeZone") is not None:
        causes += _check_zone(spec["timeZone"])
    if len(name) > _LONGEST_CRONJOB_NAME:
        causes.append(invalid("metadata.name", name, f"must be no more than {_LONGEST_CRONJOB_NAME} characters"))
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    return causes + _check_job_spec("spec.jobTemplate.spec", job)


def _check_schedule(schedule: str) -> list[Cause]:
    if not schedule:
        return [required("spec.schedule")]
    if "TZ" in schedule:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        return [invalid("spec.schedule", schedule, why)]
    wrong = schedule_error(schedule)
    return [invalid("spec.schedule", schedule, wrong)] if wrong else []


def _check_zone(zone: str) -> list[Cause]:
    if not zone or zone.lower() == "local":
        return [invalid("spec.timeZone", zone, "timeZone must be an explicit time zone as defined in the tz database")]
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        return [invalid("spec.timeZone", zone, f"unknown time zone {zone}: {error}")]
    return []
