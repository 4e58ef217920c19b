"""The row of ``events.k8s.io``: the core group's Events under another name."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.conversion.events import from_core, to_core
from cloudcore.apiserver.kinds import core
from cloudcore.apiserver.kinds.kind import Conversion, Kind
from cloudcore.apiserver.validation.cluster import check_new_event

_CORE: Final = next(row for row in core.ROWS if row.resource == "events")
_REGARDING: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_ALIASES: Final = {
    **{f"regarding.{name}": f"involvedObject.{name}" for name in _REGARDING},
    "reportingController": "reportingComponent",
}

ROWS: Final = (
    Kind(
        kind="Event",
        plural="events",
        group="events.k8s.io",
        schema="io.k8s.api.events.v1.Event",
        short_names=("ev",),
        fields={**_CORE.fields, **dict.fromkeys(_ALIASES, "")},
        aliases=_ALIASES,
        conversion=Conversion(_CORE, inward=to_core, outward=from_core, check=check_new_event),
    ),
)
