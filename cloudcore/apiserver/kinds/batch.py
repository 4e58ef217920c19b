"""Rows of the ``batch`` group."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.batch import default_cronjob, default_job
from cloudcore.apiserver.kinds import strategies
from cloudcore.apiserver.kinds.kind import Kind, no_controller, status_of
from cloudcore.apiserver.validation.batch import check_cronjob, check_job, check_job_update

_SCHEMA: Final = "io.k8s.api.batch.v1."

ROWS: Final = (
    Kind(
        kind="Job",
        plural="jobs",
        group="batch",
        schema=_SCHEMA + "Job",
        categories=("all",),
        subresources=(status_of("Job", "batch"),),
        fields={"status.successful": "0"},
        aliases={"status.successful": "status.succeeded"},
        status=True,
        first_status={},
        generation=True,
        inert=no_controller("Jobs"),
        prepare_create=strategies.new_job,
        defaults=default_job,
        validate=check_job,
        validate_update=check_job_update,
    ),
    Kind(
        kind="CronJob",
        plural="cronjobs",
        group="batch",
        schema=_SCHEMA + "CronJob",
        short_names=("cj",),
        categories=("all",),
        subresources=(status_of("CronJob", "batch"),),
        status=True,
        first_status={},
        generation=True,
        inert=no_controller("CronJobs"),
        defaults=default_cronjob,
        validate=check_cronjob,
    ),
)
