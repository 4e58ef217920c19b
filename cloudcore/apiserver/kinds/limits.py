"""Rows of what bounds the use of a namespace, and disruptions."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.policies import default_limit_range
from cloudcore.apiserver.kinds import strategies
from cloudcore.apiserver.kinds.kind import Kind, status_of
from cloudcore.apiserver.validation.limits import (
    check_disruption_budget,
    check_limit_range,
    check_quota,
    check_quota_update,
)

_SCHEMA: Final = "io.k8s.api.core.v1."

ROWS: Final = (
    Kind(
        kind="LimitRange",
        plural="limitranges",
        schema=_SCHEMA + "LimitRange",
        short_names=("limits",),
        put_creates=True,
        defaults=default_limit_range,
        validate=check_limit_range,
    ),
    Kind(
        kind="ResourceQuota",
        plural="resourcequotas",
        schema=_SCHEMA + "ResourceQuota",
        short_names=("quota",),
        subresources=(status_of("ResourceQuota"),),
        status=True,
        first_status={},
        returns_deleted=True,
        validate=check_quota,
        validate_update=check_quota_update,
    ),
    Kind(
        kind="PodDisruptionBudget",
        plural="poddisruptionbudgets",
        group="policy",
        schema="io.k8s.api.policy.v1.PodDisruptionBudget",
        short_names=("pdb",),
        subresources=(status_of("PodDisruptionBudget", "policy"),),
        status=True,
        first_status=strategies.NO_DISRUPTIONS,
        generation=True,
        validate=check_disruption_budget,
    ),
)
