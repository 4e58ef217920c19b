"""Takes what nodes report into the API, and says of each item how it was settled.

Contract. Items about one object are written in the order in which they came, items about different objects side by
side; at most ``concurrency`` writes are under way for all nodes together, of them ``CONCURRENCY_OF_A_NODE`` for one,
and who comes next waits (the link's window then holds the node back): a node with thousands of reports does not stand
in front of the others with all of them. Reports have a rate per node, events a lower one.
An item is settled after its write is committed. A session that has been superseded
writes nothing more: ``current`` is asked before each attempt, and each status names the revision it was made from,
so a write that was under way cannot overwrite what the newer session wrote.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgpack
import structlog

from cloudcore.apiserver.podrequest import PodRequest
from cloudcore.apiserver.subresources.token import audiences_of
from cloudcore.client import Client
from cloudcore.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    GatewayTimeout,
    InternalError,
    NotFound,
    StorageUnavailable,
    TooManyRequests,
    Unauthorized,
)
from cloudcore.events import Recorder
from cloudcore.hub import reports
from cloudcore.hub.mirrors import MirrorPods
from cloudcore.hub.reports import Kind, Refused
from cloudcore.hub.router import Router
from cloudcore.security.ratelimit import RateLimit, RateLimiter
from cloudcore.store.base import Record, Store
from protocol.messages import APPLIED, LATER, Item, Op, Verdict
from protocol.objects.devices import DEVICE_REPORTS, DEVICE_STATUS, DEVICES, Report
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision
from protocol.objects.mirrors import mirrored_uid
from protocol.objects.resources import ANSWER, EVENTS, NODES, PODS, SERVICE_ACCOUNTS

log = structlog.get_logger(__name__)

ATTEMPTS: Final = 8
"""Writers that race for one object make each other retry; the item comes back later when this many lost."""
CONCURRENCY: Final = 128
CONCURRENCY_OF_A_NODE: Final = 32
EVENTS_OF_A_NODE: Final = RateLimit(per_s=10.0, burst=2000.0, addresses=20_000)
"""Events live for an hour on disk. Beyond this a node is told to send them later."""
REPORTS_OF_A_NODE: Final = RateLimit(per_s=500.0, burst=20_000.0, addresses=20_000)
"""Each report may be a write. Beyond this a node is told to send them later, so that it cannot keep the store busy."""
DEVICES_OF_A_NODE: Final = RateLimit(per_s=2_000.0, burst=20_000.0, addresses=20_000)
"""As for reports; a node may have more devices than pods, each of which is told of once a second."""
STATUS_OF_A_DEVICE: Final = RateLimit(per_s=1.0, burst=2.0, addresses=200_000)
"""A Device is written at most once a second: what comes sooner is put off, and the node then sends its newest."""
COMPLAINTS_ABOUT_A_NODE: Final = RateLimit(per_s=1.0, burst=100.0, addresses=20_000)
"""Rejections are told to the node in any case; beyond this they are neither logged nor recorded."""

_OF_DEVICES: Final = frozenset({DEVICE_STATUS, DEVICE_REPORTS})
_NOT_NOW: Final = (StorageUnavailable, TooManyRequests, InternalError, GatewayTimeout, Unauthorized)
"""The API's trouble, or ours with it: none of the node's."""

Current = Callable[[], bool]
Answer = Callable[[Item], None]
"""Sends an answer down the session that asked."""
Perform = Callable[[PodRequest], Awaitable[Body]]
"""Does what a pod asks of the API, and returns ``code``, ``body`` and ``version``."""
Mint = Callable[[NodeName, ObjectKey, Body], Awaitable[Body]]
"""Makes a token as the API does when that node asks: of which account, the TokenRequest; returns it answered."""


KeepReports = Callable[[NodeName, Sequence[Report]], Awaitable[None]]
"""Keeps what devices of a node have reported; returns once it is on disk."""


@dataclass(frozen=True, slots=True)
class PodServices:
    """What a cloud does for the pods and devices of its nodes.

    Attributes:
        mint: Makes tokens of service accounts; None where this cloud makes none.
        perform: Does what pods ask of the API; None where this cloud passes nothing on.
        keep: Keeps reports of devices; None where this cloud has no log of them.
    """

    mint: Mint | None = None
    perform: Perform | None = None
    keep: KeepReports | None = None


def _nobody(_: Item) -> None:
    """Drop an answer that nobody waits for."""


class Upstream:
    """Applies reports.

    Args:
        store: Read for the newest state of what is reported on.
        client: Writes.
        router: Knows which pods are whose.
        recorder: Takes an event for each rejected report.
        services: What is done for pods.
        concurrency: Writes under way at once.
    """

    def __init__(
        self,
        store: Store,
        client: Client,
        router: Router,
        recorder: Recorder,
        *,
        services: PodServices | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._store = store
        self._client = client
        self._router = router
        self._recorder = recorder
        services = services or PodServices()
        self._mint, self._perform, self._keep = services.mint, services.perform, services.keep
        self._mirrors = MirrorPods(store, client, router)
        self._slots = asyncio.Semaphore(concurrency)
        self._events = RateLimiter(EVENTS_OF_A_NODE)
        self._reports = RateLimiter(REPORTS_OF_A_NODE)
        self._devices = RateLimiter(DEVICES_OF_A_NODE)
        self._statuses = RateLimiter(STATUS_OF_A_DEVICE)
        self._complaints = RateLimiter(COMPLAINTS_ABOUT_A_NODE)
        self.settled: Counter[str] = Counter()
        """Items by outcome, for the metrics."""

    async def settle(
        self, node: NodeName, items: Sequence[Item], current: Current, answer: Answer = _nobody
    ) -> list[Verdict]:
        """Apply a batch and return its verdicts, one per item in the same order; requests are answered before."""
        verdicts = [LATER] * len(items)
        chains: dict[ObjectKey, list[int]] = {}
        for index, item in enumerate(items):
            chains.setdefault(reports.object_of(item), []).append(index)

        waiting = iter(chains.values())

        async def settle_chains() -> None:
            for indexes in waiting:
                async with self._slots:
                    for index in indexes:
                        verdicts[index] = await self._settle_one(node, items[index], current, answer)

        if len(chains) == 1:
            await settle_chains()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(chains), CONCURRENCY_OF_A_NODE)):
                    group.create_task(settle_chains(), name=f"reports of {node}")
        return verdicts

    async def _settle_one(self, node: NodeName, item: Item, current: Current, answer: Answer) -> Verdict:
        try:
            if self._is_too_often(node, item):
                verdict = LATER
            else:
                verdict = await self._apply(node, item, current, answer)
        except Refused as exc:
            verdict = self._reject(node, item, exc.code, exc.reason)
        except _NOT_NOW as exc:
            log.warning("report put off", node=node, object=str(item.key), cause=exc.message)
            verdict = LATER
        except ApiError as exc:
            verdict = self._reject(node, item, exc.reason, exc.message)
        self.settled[verdict.outcome.name.lower()] += 1
        return verdict

    def _is_too_often(self, node: NodeName, item: Item) -> bool:
        now = asyncio.get_running_loop().time()
        limiter = self._devices if item.key.resource in _OF_DEVICES else self._reports
        if limiter.wait_s(node, now):
            return True
        of_device = item.key.resource == DEVICE_STATUS
        return of_device and self._statuses.wait_s(f"{node}/{item.key.namespace}/{item.key.name}", now) > 0

    async def _apply(self, node: NodeName, item: Item, current: Current, answer: Answer) -> Verdict:
        kind = reports.kind_of(item)
        if kind is Kind.TOKEN:
            return await self._answer_token(node, item, answer)
        if kind is Kind.POD_REQUEST:
            return await self._answer_pod(node, item, answer)
        if kind is Kind.MIRROR:
            return await self._make_mirror(node, item, answer)
        if kind is Kind.EVENT:
            return await self._record_event(node, item)
        if kind is Kind.POD_STOPPED:
            return await self._remove_pod(node, item)
        if kind is Kind.DEVICE_REPORTS:
            return await self._keep_reports(node, item)
        key = reports.object_of(item)
        if kind is Kind.NODE_STATUS:
            reports.check_node(node, key)
        return await self._write_status(node, key, item, current)

    async def _write_status(self, node: NodeName, key: ObjectKey, item: Item, current: Current) -> Verdict:
        reported = reports.status_of(item)
        for _ in range(ATTEMPTS):
            record = await self._newest(node, key, item)
            if record is None:
                return APPLIED
            body = record.decode()
            status = reports.merged_status(key.resource, body.get("status") or {}, reported)
            if status == body.get("status"):
                return APPLIED
            reports.check_size(key, len(record.tail), item, status)
            if not current():
                return LATER
            try:
                await self._client.update(key.resource, _status_write(body, status), subresource="status")
            except (Conflict, NotFound):
                continue  # it changed, or went, since it was read: look again
            except Forbidden as exc:
                return self._lacks_right(key, exc)
            return APPLIED
        return LATER

    @staticmethod
    def _lacks_right(key: ObjectKey, error: Forbidden) -> Verdict:
        """Put off what a cluster does not let this cloud write: that is mended there, and no fault of the node's."""
        log.warning("the cloud lacks a right", object=str(key), cause=error.message)
        return LATER

    async def _remove_pod(self, node: NodeName, item: Item) -> Verdict:
        record = await self._newest(node, item.key, item)
        if record is None:
            return APPLIED
        reports.check_stopped(record)
        try:
            await self._client.delete(PODS, item.key.namespace, item.key.name, uid=record.uid, grace_s=0)
        except (NotFound, Conflict):
            pass  # gone, or another pod of that name by now: this one is no more
        except Forbidden as exc:
            return self._lacks_right(item.key, exc)
        return APPLIED

    async def _answer_token(self, node: NodeName, item: Item, answer: Answer) -> Verdict:
        """Make a token for a pod of the node. It goes down the session that asked, and nowhere is it kept.

        Raises:
            Refused: The pod is not the node's, or this cloud makes no tokens.
        """
        spec = reports.token_request_of(item)
        pod = ObjectKey(PODS, item.key.namespace, spec["boundObjectRef"]["name"])
        record = self._router.record(pod)
        if record is None or record.uid != spec["boundObjectRef"]["uid"] or self._router.node_of(pod) != node:
            raise Refused("Forbidden", f"no such pod is bound to node {node}: {pod}")
        foreign = set(spec.get("audiences") or ()) - audiences_of(record.decode()["spec"])
        if foreign:
            raise Refused("Forbidden", f"{pod} asks for no token for the audience {sorted(foreign)[0]}")
        if self._mint is None:
            raise Refused("MethodNotAllowed", "this cloud makes no tokens")
        account = ObjectKey(SERVICE_ACCOUNTS, item.key.namespace, item.key.name)
        body = await self._mint(node, account, {"spec": spec})
        told = {"spec": {"expirationSeconds": body["spec"]["expirationSeconds"]}, "status": body["status"]}
        key = item.key._replace(resource=ANSWER, name=item.id)
        answer(Item(Op.COMMAND, key, item.uid, Revision(0), msgpack.packb(told), id=item.id))
        return APPLIED

    async def _answer_pod(self, node: NodeName, item: Item, answer: Answer) -> Verdict:
        """Do what a pod of the node asks of the API, as its service account.

        Raises:
            Refused: No such pod is the node's, or this cloud passes nothing on.
        """
        request = reports.pod_request_of(item)
        pod = ObjectKey(PODS, request.namespace, request.pod)
        record = self._router.record(pod)
        if record is None or record.uid != request.uid or self._router.node_of(pod) != node:
            raise Refused("Forbidden", f"no such pod is bound to node {node}: {pod}")
        if (record.decode()["spec"].get("serviceAccountName") or "default") != request.account:
            raise Refused("Forbidden", f"{pod} does not run as service account {request.account}")
        if self._perform is None:
            raise Refused("MethodNotAllowed", "this cloud passes no requests on: ask the cluster's API")
        told = msgpack.packb(await self._perform(request))
        key = item.key._replace(resource=ANSWER, name=item.id)
        answer(Item(Op.COMMAND, key, item.uid, Revision(0), told, id=item.id))
        return APPLIED

    async def _make_mirror(self, node: NodeName, item: Item, answer: Answer) -> Verdict:
        if self._events.wait_s(node, asyncio.get_running_loop().time()):
            return LATER
        try:
            uid = await self._mirrors.make(node, item)
        except Forbidden as exc:
            return self._lacks_right(item.key, exc)
        told = msgpack.packb({"uid": uid})
        answer(
            Item(Op.COMMAND, item.key._replace(resource=ANSWER, name=item.id), item.uid, Revision(0), told, id=item.id)
        )
        return APPLIED

    async def _keep_reports(self, node: NodeName, item: Item) -> Verdict:
        """Keep what devices of the node have reported; a device that has gone, or moved away, is passed over.

        Raises:
            Refused: They cannot be read, or this cloud has no log of them.
        """
        reported = reports.device_reports_of(item, node)
        if self._keep is None:
            raise Refused("MethodNotAllowed", "this cloud keeps no reports of devices")
        named = {(each.namespace, each.device) for each in reported}
        own = {device for device in named if self._router.node_of(ObjectKey(DEVICES, *device)) == node}
        kept = [each for each in reported if (each.namespace, each.device) in own]
        if kept:
            await self._keep(node, kept)
        return APPLIED

    async def _newest(self, node: NodeName, key: ObjectKey, item: Item) -> Record | None:
        """Return the stored state of what ``item`` is about; None where that object is no more.

        Raises:
            Refused: It is a pod or a device of another node.
        """
        try:
            record = await self._store.get(key)
        except NotFound:
            return None
        if key.resource == NODES:
            return record if item.uid in ("", record.uid) else None
        if item.uid not in (record.uid, mirrored_uid(record.decode())):
            return None
        # The router may be a moment behind the store; the pod's own word counts then.
        bound = self._router.node_of(key) or _node_name(record)
        if bound != node:
            raise Refused("Forbidden", f"{key} is not bound to node {node}")
        return record

    async def _record_event(self, node: NodeName, item: Item) -> Verdict:
        if self._events.wait_s(node, asyncio.get_running_loop().time()):
            return LATER
        event = reports.event_of(item, node)
        subject = reports.subject_of(event)
        if subject.resource == NODES:
            reports.check_node(node, subject)
        elif not self._is_about(subject, event):
            return APPLIED  # the pod is gone: nobody can look at its events any more
        elif self._router.node_of(subject) != node:
            raise Refused("Forbidden", f"{subject} is not bound to node {node}")
        try:
            await self._client.create(EVENTS, event)
        except AlreadyExists:
            pass  # a repeat
        return APPLIED

    def _is_about(self, subject: ObjectKey, event: Body) -> bool:
        """Tell whether the pod under ``subject`` is the one that ``event`` means; by now its name may be another's."""
        record = self._router.record(subject)
        about = event["involvedObject"].get("uid")
        return record is not None and (about in (None, "", record.uid) or about == mirrored_uid(record.decode()))

    def _reject(self, node: NodeName, item: Item, code: str, reason: str) -> Verdict:
        if not self._complaints.wait_s(node, asyncio.get_running_loop().time()):
            log.warning("report rejected", node=node, object=str(item.key), code=code, cause=reason)
            note_rejection(self._recorder, self._router, node, "ReportRejected", f"{item.key}: {code}: {reason}")
        return Verdict.rejected(code, reason)


def note_rejection(recorder: Recorder, router: Router, node: NodeName, reason: str, message: str) -> None:
    """Record a warning on the Node, if it is there."""
    record = router.record(ObjectKey(NODES, "", node))
    if record is not None:
        recorder.event(record.decode(), "Warning", reason, message)


def _status_write(stored: Body, status: Body) -> Body:
    """Return what a write of the status needs of an object: the rest of it would only be copied."""
    metadata = stored["metadata"]
    named = {field: metadata[field] for field in ("name", "namespace", "uid", "resourceVersion") if field in metadata}
    return {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": named, "status": status}


def _node_name(pod: Record) -> str:
    body: Body = pod.decode()
    return str((body.get("spec") or {}).get("nodeName", ""))
