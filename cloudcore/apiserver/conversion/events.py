"""``events.k8s.io/v1`` Events, kept as ``core/v1`` ones.

Source: Kubernetes ``pkg/apis/events/v1/conversion.go``: the two say the same under other names.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body

_RENAMED: Final = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK: Final = {old: new for new, old in _RENAMED.items()}


def to_core(body: Body) -> Body:
    """Return an ``events.k8s.io/v1`` Event as a ``core/v1`` one."""
    renamed = {_RENAMED.get(name, name): value for name, value in body.items()}
    return {**renamed, "apiVersion": "v1", "involvedObject": renamed.get("involvedObject") or {}}


def from_core(body: Body) -> Body:
    """Return a ``core/v1`` Event as an ``events.k8s.io/v1`` one."""
    renamed = {_BACK.get(name, name): value for name, value in body.items()}
    return {**renamed, "apiVersion": "events.k8s.io/v1", "eventTime": renamed.get("eventTime")}
