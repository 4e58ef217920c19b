"""Defaults of Jobs and CronJobs.

Source: Kubernetes ``batch/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body
from protocol.objects.poddefaults import default_pod_template

_NO_LIMIT: Final = 2**31 - 1


def default_job(body: Body) -> None:
    """Fill the absent fields of a Job."""
    spec = body.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _NO_LIMIT if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")
    default_pod_template(spec.setdefault("template", {}))


def default_cronjob(body: Body) -> None:
    """Fill the absent fields of a CronJob."""
    spec = body.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    default_pod_template(template.setdefault("spec", {}).setdefault("template", {}))
