"""ObjectTrace objects: what was recorded of versions on their way to nodes. Kept in memory, never stored.

Creating one arms a trace for the next versions of the object its spec names; it goes when it is deleted or when its
time is up. The versions that the hub samples of its own accord show as objects named ``sample-<number>``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.errors import Cause, Invalid
from cloudcore.hub.syncview import API_VERSION, Moment
from cloudcore.hub.tracing import ArmedTrace, NodeTrace, Tracing, VersionTrace
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.projections import SLICE_RESOURCES
from protocol.objects.times import micro_timestamp, parse_timestamp, timestamp

MAX_VERSIONS: Final = 16
DEFAULT_TTL_S: Final = 300
MAX_TTL_S: Final = 3600
STEPS: Final = (
    ("dispatched", "dispatched_at"),
    ("sent", "sent_at"),
    ("received", "received_at"),
    ("applied", "applied_at"),
    ("acknowledged", "acked_at"),
)
"""The steps of a version to a node in the order of time: the field in the API, the attribute."""


def object_traces(tracing: Tracing, now: Moment) -> list[Body]:
    """Return all ObjectTraces: the armed ones, and the samples."""
    tracing.tick(now.monotonic)
    armed = [armed_body(trace, now) for trace in tracing.armed.values()]
    return armed + [_sample(version, now) for version in tracing.recent.values()]


def armed_trace(body: Body, now: Moment) -> ArmedTrace:
    """Return the trace that a new ObjectTrace asks for.

    Raises:
        Invalid: Its spec cannot be followed; the causes name the fields.
    """
    metadata, spec = body["metadata"], body.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    causes = [
        *_check_text(spec, "resource", required=True),
        *_check_text(spec, "namespace"),
        *_check_text(spec, "name", required=True),
        *_check_text(spec, "node"),
        *_check_number(spec, "versions", MAX_VERSIONS),
        *_check_number(spec, "ttlSeconds", MAX_TTL_S),
    ]
    if not causes and spec["resource"] not in SLICE_RESOURCES:
        known = ", ".join(sorted(SLICE_RESOURCES))
        causes = [_cause("resource", f"{spec['resource']!r} does not travel to nodes; these do: {known}")]
    if causes:
        what = "; ".join(f"{cause.field}: {cause.message}" for cause in causes)
        raise Invalid(f'ObjectTrace "{metadata.get("name", "")}" is invalid: {what}', causes=causes)
    return ArmedTrace(
        name=metadata["name"],
        uid=metadata["uid"],
        key=ObjectKey(spec["resource"], spec.get("namespace", ""), spec["name"]),
        node=spec.get("node", ""),
        wanted=spec.get("versions", 1),
        created_at=parse_timestamp(metadata["creationTimestamp"]),
        expires_at=now.monotonic + spec.get("ttlSeconds", DEFAULT_TTL_S),
    )


def _check_text(spec: Body, field: str, *, required: bool = False) -> list[Cause]:
    value = spec.get(field, "")
    if not isinstance(value, str) or len(value) > 253:
        return [_cause(field, "a string of at most 253 characters is needed")]
    return [_cause(field, "Required value")] if required and not value else []


def _check_number(spec: Body, field: str, most: int) -> list[Cause]:
    value = spec.get(field, 1)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return []
    return [_cause(field, f"a whole number from 1 to {most} is needed")]


def _cause(field: str, message: str) -> Cause:
    return Cause("FieldValueInvalid", message, f"spec.{field}")


def armed_body(trace: ArmedTrace, now: Moment) -> Body:
    """Return the ObjectTrace of an armed trace."""
    spec: Body = _spec(trace.key) | {"versions": trace.wanted}
    if trace.node:
        spec["node"] = trace.node
    return {
        "apiVersion": API_VERSION,
        "kind": "ObjectTrace",
        "metadata": {"name": trace.name, "uid": trace.uid, "creationTimestamp": timestamp(trace.created_at)},
        "spec": spec,
        "status": {
            "state": trace.state,
            "expires": timestamp(now.wall_of(trace.expires_at)),
            "versions": [_version(version, trace.node, now) for version in trace.versions],
        },
    }


def _sample(version: VersionTrace, now: Moment) -> Body:
    return {
        "apiVersion": API_VERSION,
        "kind": "ObjectTrace",
        "metadata": {
            "name": f"sample-{version.number}",
            "creationTimestamp": timestamp(now.wall_of(version.begun_at)),
        },
        "spec": _spec(version.key),
        "status": {
            "state": "Complete" if version.finished else "Recording",
            "sample": True,
            "versions": [_version(version, "", now)],
        },
    }


def _spec(key: ObjectKey) -> Body:
    spec = {"resource": key.resource, "name": key.name}
    return spec | {"namespace": key.namespace} if key.namespace else spec


def _version(version: VersionTrace, node: str, now: Moment) -> Body:
    shown: Body = {
        "version": str(version.version),
        "uid": version.uid,
        "operation": version.op.name.lower(),
        "committed": None if version.committed_at is None else micro_timestamp(now.wall_of(version.committed_at)),
        "nodes": [_node(trace, now) for trace in version.nodes.values() if node in ("", trace.node)],
    }
    if version.more_nodes:
        shown["moreNodes"] = version.more_nodes
    return shown


def _node(trace: NodeTrace, now: Moment) -> Body:
    shown: dict[str, Any] = {"node": trace.node, "outcome": trace.outcome or "pending"}
    for field, attribute in STEPS:
        at = getattr(trace, attribute)
        shown[field] = None if at is None else micro_timestamp(now.wall_of(at))
    shown["sends"] = trace.sends
    if trace.uncertainty_s is not None:
        shown["uncertaintySeconds"] = round(trace.uncertainty_s, 6)
    if trace.put_off:
        shown["putOff"] = trace.put_off
    if trace.reason:
        shown["reason"] = trace.reason
    return shown
