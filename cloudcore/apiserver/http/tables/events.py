"""``kubectl get events`` (``core/v1`` and ``events.k8s.io/v1``)."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.durations import age
from cloudcore.apiserver.http.tables.printers import Cells, Column, at, printer, wide
from protocol.objects.keys import Body

_COLUMNS = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    wide("Subobject"),
    wide("Source"),
    Column("Message"),
    wide("First Seen"),
    Column("Count", "integer", priority=1),
    Column("Name", priority=1, format="name"),
)


@printer("events", *_COLUMNS)
@printer("events.events.k8s.io", *_COLUMNS)
def event_cells(event: Body, now: float) -> Cells:
    """Return an Event's row."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = at(event, "series", "lastObservedTime") or event.get("lastTimestamp") or first
    return [
        age(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        _source(event),
        str(event.get("message") or event.get("note") or "").strip(),
        age(first, now),
        at(event, "series", "count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


def _source(event: Body) -> str:
    component = at(event, "source", "component") or event.get("reportingComponent", "")
    host = at(event, "source", "host") or event.get("reportingInstance", "")
    return ", ".join(part for part in (component, host) if part)
