"""Rows of the ``autoscaling`` group: one kind, served in two versions."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.conversion.autoscaling import from_v2, to_v2
from cloudcore.apiserver.defaults.autoscaling import default_autoscaler
from cloudcore.apiserver.kinds.kind import Conversion, Kind, no_controller, status_of
from cloudcore.apiserver.validation.autoscaling import check_autoscaler

_KIND: Final = "HorizontalPodAutoscaler"
_PLURAL: Final = "horizontalpodautoscalers"
_GROUP: Final = "autoscaling"

_V2: Final = Kind(
    kind=_KIND,
    plural=_PLURAL,
    group=_GROUP,
    version="v2",
    schema=f"io.k8s.api.autoscaling.v2.{_KIND}",
    short_names=("hpa",),
    categories=("all",),
    subresources=(status_of(_KIND, _GROUP, "v2"),),
    status=True,
    first_status={"desiredReplicas": 0},
    inert=no_controller(f"{_KIND}s"),
    defaults=default_autoscaler,
    validate=check_autoscaler,
)
_V1: Final = Kind(
    kind=_KIND,
    plural=_PLURAL,
    group=_GROUP,
    schema=f"io.k8s.api.autoscaling.v1.{_KIND}",
    short_names=("hpa",),
    categories=("all",),
    subresources=(status_of(_KIND, _GROUP),),
    conversion=Conversion(_V2, inward=to_v2, outward=from_v2),
)

ROWS: Final = (_V2, _V1)
