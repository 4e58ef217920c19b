"""What nodes report, read with suspicion. Performs no I/O.

A node is not trusted: it may be broken or taken over. It writes its own status, the status of pods and devices bound
to it, what such devices report, the end of such pods, and events about these; it asks for tokens of their accounts,
and for mirrors of its static pods. Nothing else. Each function here raises :class:`Refused` for what is over that
line, with a word and a sentence that go back in the verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import msgpack
import orjson

from cloudcore.apiserver.podrequest import PodRequest
from cloudcore.store.base import Record
from protocol.errors import AiokubeedgeError
from protocol.messages import Item, Op
from protocol.objects.devices import (
    DEVICE_REPORTS,
    DEVICE_STATUS,
    DEVICES,
    KEY_LIMIT,
    VALUE_LIMIT,
    MalformedReports,
    Report,
    decode_reports,
)
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.mirrors import is_mirror, refused_references
from protocol.objects.resources import EVENTS, NODE_STATUS, NODES, POD_REQUEST, POD_STATUS, PODS, TOKEN
from protocol.objects.wellknown import MIRROR

MAX_REPORT_BYTES: Final = 512 * 1024
MAX_EVENT_BYTES: Final = 8 * 1024
MAX_REQUEST_BYTES: Final = 8 * 1024
MAX_POD_REQUEST_BYTES: Final = 2 * 1024 * 1024
MAX_REPORTED_OBJECT_BYTES: Final = 1024 * 1024
"""What an object may grow to by its node's reports: conditions that are reported no longer stay."""
_NAMED: Final = 5
_SUBJECTS: Final = {"Pod": PODS, "Device": DEVICES}
_KEPT_OF_POD: Final = ("qosClass", "nominatedNodeName", "resize")
"""Fields of a pod's status that the cloud writes; a node's report does not remove them."""
_KEPT_OF_NODE: Final = ("volumesAttached", "config")
_KEPT_OF_DEVICE: Final = ("reportToCloud", "reportCycle")
_KEPT: Final = {NODES: _KEPT_OF_NODE, PODS: _KEPT_OF_POD, DEVICES: _KEPT_OF_DEVICE}
_END_OF_TIME_MS: Final = 253_402_300_800_000
"""The first instant of the year 10000, which timestamps cannot name."""
_LONGEST_NAME: Final = 253


class Refused(AiokubeedgeError):
    """A report that is settled as rejected.

    Args:
        code: A CamelCase word for programs.
        reason: One sentence for a person.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Kind(enum.Enum):
    """The kinds of reports."""

    NODE_STATUS = enum.auto()
    POD_STATUS = enum.auto()
    POD_STOPPED = enum.auto()
    EVENT = enum.auto()
    TOKEN = enum.auto()
    MIRROR = enum.auto()
    POD_REQUEST = enum.auto()
    DEVICE_STATUS = enum.auto()
    DEVICE_REPORTS = enum.auto()


_KINDS: Final = {
    (NODE_STATUS, Op.PUT): Kind.NODE_STATUS,
    (POD_STATUS, Op.PUT): Kind.POD_STATUS,
    (PODS, Op.DELETE): Kind.POD_STOPPED,
    (EVENTS, Op.COMMAND): Kind.EVENT,
    (TOKEN, Op.COMMAND): Kind.TOKEN,
    (PODS, Op.COMMAND): Kind.MIRROR,
    (POD_REQUEST, Op.COMMAND): Kind.POD_REQUEST,
    (DEVICE_STATUS, Op.PUT): Kind.DEVICE_STATUS,
    (DEVICE_REPORTS, Op.COMMAND): Kind.DEVICE_REPORTS,
}


def kind_of(item: Item) -> Kind:
    """Return what ``item`` reports.

    Raises:
        Refused: A node may not write that.
    """
    kind = _KINDS.get((item.key.resource, item.op))
    if kind is None:
        raise Refused("Forbidden", f"a node may not {item.op.name.lower()} {item.key.resource}")
    return kind


def object_of(item: Item) -> ObjectKey:
    """Return the object that ``item`` is about: the pod, for its status and its end alike.

    Reports of devices are about many: they are settled in the order they come, as if about one of their own.
    """
    resource = item.key.resource
    return item.key if resource == DEVICE_REPORTS else item.key._replace(resource=resource.partition("/")[0])


def check_node(node: NodeName, key: ObjectKey) -> None:
    """Check that a node's status is its own.

    Raises:
        Refused: It is another's.
    """
    if key != ObjectKey(NODES, "", node):
        raise Refused("Forbidden", f"node {node} may not write {key}")


def check_stopped(pod: Record) -> None:
    """Check that a pod said to have stopped for good was asked to, or is the mirror of one that nobody can ask.

    Raises:
        Refused: Nobody has deleted it: its end is a matter of its status.
    """
    body = pod.decode()
    if not body["metadata"].get("deletionTimestamp") and not is_mirror(body):
        raise Refused("Forbidden", f"{pod.key} is not being deleted")


def status_of(item: Item) -> Body:
    """Return the status that ``item`` carries.

    Raises:
        Refused: There is none, or it is no JSON object.
    """
    status = _decode(item).get("status")
    if not isinstance(status, dict):
        raise Refused("Invalid", f"the report on {item.key} carries no status")
    conditions = status.get("conditions")
    if conditions is not None and not _are_conditions(conditions):
        raise Refused("Invalid", f"the report on {item.key}: status.conditions is no list of conditions")
    return status


def check_size(key: ObjectKey, stored_bytes: int, item: Item, status: Body) -> None:
    """Check that an object does not grow without bound, report by report.

    Raises:
        Refused: It would.
    """
    # The sum is an upper bound that costs nothing; only near the limit is it worth encoding.
    if stored_bytes + len(item.body) > MAX_REPORTED_OBJECT_BYTES:
        size = len(orjson.dumps(status))
        if size > MAX_REPORTED_OBJECT_BYTES:
            raise Refused("RequestEntityTooLarge", f"the status of {key} would have {size} bytes")


def merged_status(resource: str, stored: Body, reported: Body) -> Body:
    """Return the status to store: what the node reports, with what others own kept.

    Conditions are merged by type, so that those which controllers set (``DuplicateInstance``, ``PodScheduled``) stay.
    """
    merged = {name: stored[name] for name in _KEPT[resource] if name in stored}
    merged.update(reported)
    known = {condition.get("type") for condition in reported.get("conditions") or ()}
    others = [condition for condition in stored.get("conditions") or () if condition.get("type") not in known]
    if others:
        merged["conditions"] = [*others, *(reported.get("conditions") or ())]
    return merged


def event_of(item: Item, node: NodeName) -> Body:
    """Return the Event that ``item`` carries, with the node as its source.

    Raises:
        Refused: It is no Event, or its name or place is not the item's.
    """
    if len(item.body) > MAX_EVENT_BYTES:
        raise Refused("RequestEntityTooLarge", f"an event is at most {MAX_EVENT_BYTES} bytes")
    body = _decode(item)
    metadata, involved = body.get("metadata"), body.get("involvedObject")
    if not isinstance(metadata, dict) or not isinstance(involved, dict):
        raise Refused("Invalid", "an event needs metadata and an involvedObject")
    if metadata.get("name") != item.key.name or (metadata.get("namespace") or "") != item.key.namespace:
        raise Refused("Invalid", "an event's name and namespace must be those of its key")
    source = body.get("source")
    return {
        **body,
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": item.key.name, "namespace": item.key.namespace},
        "source": {**(source if isinstance(source, dict) else {}), "host": node},
    }


def token_request_of(item: Item) -> Body:
    """Return the spec of the TokenRequest that ``item`` carries, bound to a pod of a certain uid.

    Raises:
        Refused: It is no such request.
    """
    if len(item.body) > MAX_REQUEST_BYTES:
        raise Refused("RequestEntityTooLarge", f"a request for a token is at most {MAX_REQUEST_BYTES} bytes")
    spec = _decode(item).get("spec")
    bound = spec.get("boundObjectRef") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(bound, dict):
        raise Refused("Invalid", "a request for a token needs a spec with a boundObjectRef")
    audiences = spec.get("audiences") or []
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise Refused("Invalid", "spec.audiences is no list of audiences")
    if bound.get("kind") != "Pod" or not bound.get("name") or not bound.get("uid"):
        raise Refused("Forbidden", "node requested token not bound to a pod of a certain uid")
    return spec


def mirror_of(item: Item, node: NodeName, node_uid: Uid) -> Body:
    """Return the mirror that ``item`` asks for: bound to the node, and gone when the Node is.

    Raises:
        Refused: It is no mirror, another node's, or names what a node could read through it.
    """
    pod = _decode(item)
    metadata, spec = pod.get("metadata"), pod.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise Refused("Invalid", "a mirror needs metadata and a spec")
    if metadata.get("name") != item.key.name or metadata.get("namespace") != item.key.namespace:
        raise Refused("Invalid", "a mirror's name and namespace must be those of its key")
    if not is_mirror(pod):
        raise Refused("Forbidden", f"a node may make mirrors of static pods only: the annotation {MIRROR} is missing")
    if spec.get("nodeName") != node:
        raise Refused("Forbidden", f"node {node} may make mirrors of its own pods only")
    named = refused_references(pod)
    if named:
        raise Refused("Forbidden", f"a mirror may not name {', '.join(named[:_NAMED])}")
    kept = {name: metadata[name] for name in ("name", "namespace", "labels", "annotations") if name in metadata}
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": True}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**kept, "ownerReferences": [owner]}, "spec": spec}


def subject_of(event: Body) -> ObjectKey:
    """Return the object that an Event is about.

    Raises:
        Refused: It is neither a Node nor a Pod nor a Device.
    """
    involved = event["involvedObject"]
    kind, name = involved.get("kind"), involved.get("name")
    if kind == "Node" and isinstance(name, str):
        return ObjectKey(NODES, "", name)
    if kind in _SUBJECTS and isinstance(name, str):
        return ObjectKey(_SUBJECTS[kind], str(involved.get("namespace", "")), name)
    raise Refused("Forbidden", f"a node may not record events about a {kind}")


def pod_request_of(item: Item) -> PodRequest:
    """Return what a pod asks of the API through its node.

    Raises:
        Refused: It cannot be read.
    """
    asked = _decode(item, MAX_POD_REQUEST_BYTES)
    author, query = asked.get("author"), asked.get("query")
    texts = [asked.get(name, "") for name in ("verb", "path", "content_type", "uid")]
    who = [author.get(name) for name in ("namespace", "account", "pod", "uid")] if isinstance(author, dict) else [None]
    pairs = [text for pair in query.items() for text in pair] if isinstance(query, dict) else [None]
    if not all(isinstance(text, str) for text in (*texts, *who, *pairs)) or type(asked.get("version")) is not int:
        raise Refused("Invalid", "a pod's request cannot be read")
    if (who[0], who[2]) != (item.key.namespace, item.key.name):
        raise Refused("Invalid", "a pod's request is of another pod than its key")
    namespace, account, pod, pod_uid = map(str, who)
    verb, path, content_type, object_uid = map(str, texts)
    return PodRequest(
        item.id,
        namespace,
        account,
        pod,
        pod_uid,
        verb=verb,
        path=path,
        content_type=content_type,
        query=query or {},
        body=asked.get("body"),
        object_uid=object_uid,
        version=asked["version"],
    )


def device_reports_of(item: Item, node: NodeName) -> Sequence[Report]:
    """Return the reports of devices that ``item`` carries.

    Raises:
        Refused: They cannot be read, or cannot be kept.
    """
    if item.key != ObjectKey(DEVICE_REPORTS, "", node):
        raise Refused("Forbidden", f"node {node} may not write {item.key}")
    if len(item.body) > MAX_REPORT_BYTES:
        raise Refused("RequestEntityTooLarge", f"reports are at most {MAX_REPORT_BYTES} bytes")
    try:
        reports = decode_reports(item.body)
    except MalformedReports as exc:
        raise Refused("Invalid", f"the reports of node {node} cannot be read: {exc}") from exc
    if not all(map(_is_in_bounds, reports)):
        raise Refused("Invalid", f"a report of node {node} is beyond the limits of names, values or times")
    return reports


def _is_in_bounds(report: Report) -> bool:
    return (
        max(len(report.namespace), len(report.device)) <= _LONGEST_NAME
        and len(report.property) <= KEY_LIMIT
        and len(report.value) <= VALUE_LIMIT
        and 0 <= report.at_ms < _END_OF_TIME_MS
        and 0 <= report.number < 2**63
    )


def _decode(item: Item, limit_bytes: int = MAX_REPORT_BYTES) -> Body:
    if len(item.body) > limit_bytes:
        raise Refused("RequestEntityTooLarge", f"a report is at most {limit_bytes} bytes")
    try:
        body = msgpack.unpackb(item.body)
        # What msgpack can say and JSON cannot (bytes, other keys, deep nesting) must not get as far as the store.
        # The lists around it leave room for the object that it will be a part of.
        opaque = isinstance(body, dict) and isinstance(body.get("body"), bytes) and item.key.resource == POD_REQUEST
        orjson.dumps([[[[{**body, "body": None} if opaque else body]]]])
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise Refused("Invalid", f"the report on {item.key} cannot be read: {exc}") from exc
    if not isinstance(body, dict):
        raise Refused("Invalid", f"the report on {item.key} is no object")
    return body


def _are_conditions(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("status"), str)
        for entry in value
    )
