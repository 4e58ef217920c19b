"""The store on a Kubernetes API server.

What of the contract of :mod:`cloudcore.store.base` a server somebody else runs can and cannot give:

- A revision is the object's ``resourceVersion``. Kubernetes orders those of one resource; across resources nothing
  is assumed: a watch of several begins behind each one's own list (``Since``).
- Each write is a request of its own: there are no groups, and no write fails for another's sake. The server assigns
  the uid, and fills in what it defaults; the record that a write returns says so.
- Reads and watches of a resource are served from one copy, kept up by one list and watch (``follower``), whoever
  reads. A write returns once that copy has it, so a reader here sees it as before; what another process wrote comes
  a moment later. ``get`` asks the server.
- ``volatile`` changes nothing: etcd writes them all. Who renews leases goes through a client with a rate of its own.
- An update without ``expected`` reads first and tries again when another was faster: not every kind of resource can
  be replaced without a version. Spec and status of a kind that keeps them apart are two requests.
- After a connection that broke in the middle of a write, it may have been stored all the same.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

import orjson
import structlog

from cloudcore.errors import AlreadyExists, Conflict, NotFound, StorageUnavailable
from cloudcore.store.base import Listing, Record, Since
from cloudcore.store.kubernetes.copies import Copies
from cloudcore.store.kubernetes.discovery import Discovery, Resource
from cloudcore.store.kubernetes.follower import Follower, Rewound
from cloudcore.store.kubernetes.objects import record_of, revision_of
from cloudcore.store.kubernetes.session import ApiSession
from cloudcore.store.kubernetes.watch import CopyWatch
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import CONFIG_MAPS, LEASES, NAMESPACES

log = structlog.get_logger(__name__)

NAMESPACE: Final = "aiokubeedge-system"
"""Where the cloud keeps what is its own in a cluster of somebody else's."""
_IDENTITY: Final = ObjectKey(CONFIG_MAPS, NAMESPACE, "cloudcore-store")
_COUNTER: Final = ObjectKey(LEASES, NAMESPACE, "cloudcore-epochs")
_COUNTED: Final = "edge.aiokubeedge.io/reserved"
_PATIENCE_S: Final = 5.0
"""How long closing waits for the writes that are under way, seconds: the server may be away."""
_ATTEMPTS: Final = 8
"""Writers that race for one object make each other read again so often."""


class KubernetesStore:
    """Implements :class:`cloudcore.store.base.Store`. Open it with :meth:`open`.

    It owns a task for each resource that is read or written through it; :meth:`close` ends them.

    Args:
        session: Sends requests; closed with the store.
        discovery: Knows where resources are.
        incarnation: This line of revisions.
        settings: The bounds of the copies.
        rng: Source of jitter.
    """

    def __init__(
        self,
        session: ApiSession,
        discovery: Discovery,
        incarnation: str,
        *,
        settings: StoreSettings | None = None,
        rng: Random | None = None,
    ) -> None:
        self.session = session
        self.discovery = discovery
        self._incarnation = incarnation
        self._copies = Copies(settings or StoreSettings())
        self._rng = rng or Random()
        self._followers: dict[str, Follower] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watches: set[CopyWatch] = set()
        self._failed: BaseException | None = None
        self._closed = False
        self._writes = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def open(
        cls, session: ApiSession, *, settings: StoreSettings | None = None, rng: Random | None = None
    ) -> KubernetesStore:
        """Open the store: make sure of its namespace, and of its incarnation, which every replica shares.

        Raises:
            ApiError: The server refuses; the caller closes the session.
            UsageError: The configuration cannot be used.
        """
        discovery = Discovery(session)
        store = cls(session, discovery, "", settings=settings, rng=rng)
        await store._ensure(ObjectKey(NAMESPACES, "", NAMESPACE), {})
        identity = await store._ensure(_IDENTITY, {"data": {"incarnation": str(uuid.uuid4())}})
        await store._ensure(_COUNTER, {"spec": {}})
        store._incarnation = identity["data"]["incarnation"]
        # One page of anything says where the server's versions are by now.
        newest = await session.call("GET", (await discovery.of(NAMESPACES)).path(), query={"limit": "1"})
        store._copies.revision = revision_of(newest["metadata"])
        return store

    @property
    def incarnation(self) -> str:
        """Identifies the line of revisions, the same for all replicas; kept in a ConfigMap of :data:`NAMESPACE`."""
        return self._incarnation

    @property
    def revision(self) -> Revision:
        """The newest revision that was seen."""
        return self._copies.revision

    @property
    def trouble(self) -> str:
        """Which resource cannot be followed at the moment and why; empty while all can."""
        return next((follower.trouble for follower in self._followers.values() if follower.trouble), "")

    @property
    def relists(self) -> int:
        """Lists taken beyond the first of each resource (a counter for metrics)."""
        return sum(max(0, follower.lists - 1) for follower in self._followers.values())

    async def get(self, key: ObjectKey) -> Record:
        """Return the object as the server has it now.

        Raises:
            NotFound: There is none.
            ApiError: The server could not be asked.
        """
        self._check_open()
        resource = await self.discovery.of(key.resource)
        return self._record(key, await self.session.call("GET", resource.path(key.namespace, key.name)))

    async def list(self, resource: str, *, namespace: str | None = None, at: Revision | None = None) -> Listing:
        """Return the copy's records now, or as they were at ``at``.

        Raises:
            Gone: ``at`` is no longer known.
            ApiError: There is no such resource, or no right to it.
        """
        follower = self._follower(resource)
        await follower.ready()
        reached = follower.reached
        if at is None:
            return Listing(self._copies.shelf(resource).select(namespace), reached)
        return self._copies.list(resource, namespace, at)

    async def create(self, key: ObjectKey, tail: bytes, *, uid: Uid, volatile: bool = False) -> Record:
        """Create an object. Its uid is the server's choice, whatever ``uid`` says.

        Raises:
            AlreadyExists: The key is taken.
            ApiError: The server refuses, or could not be asked.
        """
        async with self._writing(key) as (resource, follower):
            body = _body_of(resource, key, tail)
            return await self._seen(follower, key, await self.session.call("POST", resource.path(key.namespace), body))

    async def update(
        self,
        key: ObjectKey,
        tail: bytes,
        *,
        expected: Revision | None = None,
        expected_uid: Uid | None = None,
        status_only: bool = False,
        volatile: bool = False,
    ) -> Record:
        """Replace an object, or its status.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold, or others were faster each time.
            ApiError: The server refuses, or could not be asked.
        """
        async with self._writing(key) as (resource, follower):
            body = _body_of(resource, key, tail)
            if expected is not None and expected_uid is None:
                body["metadata"]["resourceVersion"] = str(expected)
                return await self._seen(follower, key, await self._replace(resource, key, body, status_only))
            for _ in range(_ATTEMPTS):
                present = await self.get(key)
                _check(present, expected, expected_uid)
                body["metadata"]["resourceVersion"] = str(present.revision)
                try:
                    return await self._seen(follower, key, await self._replace(resource, key, body, status_only))
                except Conflict:
                    continue  # somebody was faster: see what is there now
            raise Conflict(f"{key} is changed by others all the time")

    async def delete(
        self, key: ObjectKey, *, expected: Revision | None = None, expected_uid: Uid | None = None
    ) -> Record:
        """Remove an object and return its last state.

        Where finalizers keep it, that is the state in which it waits for them.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
            ApiError: The server refuses, or could not be asked.
        """
        async with self._writing(key) as (resource, follower):
            present = await self.get(key)
            _check(present, expected, expected_uid)
            gone = follower.deletion(key, present.uid)
            preconditions = {"uid": present.uid} | ({"resourceVersion": str(expected)} if expected else {})
            options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background", "preconditions": preconditions}
            answer = await self.session.call("DELETE", resource.path(key.namespace, key.name), options)
            if answer.get("kind") != "Status" and answer["metadata"].get("finalizers"):
                return await self._seen(follower, key, answer)
            return await asyncio.shield(gone)

    def watch(
        self, resources: Collection[str], *, since: Since, namespace: str | None = None, bookmark_s: float = 60.0
    ) -> CopyWatch:
        """Watch the copies of ``resources``, which have been listed; the caller closes the watch."""
        watch = CopyWatch(self._copies, resources, since=since, namespace=namespace, bookmark_s=bookmark_s)
        watch.forgotten = self._watches.discard
        self._watches.add(watch)
        if self._closed:
            watch.close()
        elif self._failed is not None:
            watch.fail(self._failed)
        return watch

    async def reserve(self) -> Revision:
        """Issue a revision that belongs to nothing else: a write of an object that exists to be written.

        All replicas write the same one, and the server orders the writes.

        Raises:
            ApiError: The server refuses, or could not be asked.
        """
        self._check_open()
        resource = await self.discovery.of(LEASES)
        patch = {"metadata": {"annotations": {_COUNTED: uuid.uuid4().hex}}}
        path = resource.path(_COUNTER.namespace, _COUNTER.name)
        answer = await self.session.call("PATCH", path, patch, content_type="application/merge-patch+json")
        return revision_of(answer["metadata"])

    async def close(self) -> None:
        """Wait for the writes under way, end every watch and every task, and close the session. Idempotent."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._idle.wait()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for watch in list(self._watches):
            watch.close()
        await self.session.close()

    # Following

    def _follower(self, resource: str) -> Follower:
        """Return the follower of a resource; it begins with whoever asks first, and again if it had to give up."""
        self._check_open()
        task = self._tasks.get(resource)
        if task is None or task.done():
            follower = Follower(resource, self.session, self.discovery, self._copies, self._rng)
            self._followers[resource] = follower
            task = asyncio.get_running_loop().create_task(self._follow(follower), name=f"follow {resource}")
            self._tasks[resource] = task
            task.add_done_callback(self._ended)
        return self._followers[resource]

    @asynccontextmanager
    async def _writing(self, key: ObjectKey) -> AsyncIterator[tuple[Resource, Follower]]:
        """Note a write that is under way, which closing waits for."""
        follower = self._follower(key.resource)
        self._writes += 1
        self._idle.clear()
        try:
            await follower.ready()
            yield await self.discovery.of(key.resource), follower
        finally:
            self._writes -= 1
            if not self._writes:
                self._idle.set()

    async def _follow(self, follower: Follower) -> None:
        try:
            await follower.run()
        except Rewound:
            # Versions are ordered no longer: for those who hold some, what the server has now is another store's.
            await self._renew_incarnation()
            raise

    async def _renew_incarnation(self) -> None:
        resource = await self.discovery.of(CONFIG_MAPS)
        identity = await self.session.call("GET", resource.path(_IDENTITY.namespace, _IDENTITY.name))
        if identity["data"]["incarnation"] != self._incarnation:
            return  # another replica, or another resource's follower, has done it
        identity["data"]["incarnation"] = str(uuid.uuid4())
        try:
            await self.session.call("PUT", resource.path(_IDENTITY.namespace, _IDENTITY.name), identity)
        except Conflict:
            log.info("the incarnation was renewed by another replica")

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is None:
            return
        # A copy that is not kept up must not be read: all who follow end with what ended it.
        self._failed = failure
        log.error("a resource is no longer followed", task=task.get_name(), exc_info=self._failed)
        for watch in list(self._watches):
            watch.fail(failure)

    async def _seen(self, follower: Follower, key: ObjectKey, answer: Body) -> Record:
        """Wait until the copy has what was written, and return its record."""
        written = self._record(key, answer)
        await follower.wait_revision(written.revision)
        held = self._copies.get(key)
        return held if held is not None and held.revision == written.revision else self._record(key, answer)

    def _record(self, key: ObjectKey, body: Body) -> Record:
        held = self._copies.get(key)
        revision = revision_of(body["metadata"])
        known = held is not None and held.uid == body["metadata"].get("uid", "")
        return record_of(key, body, held.content_revision if held is not None and known else revision)

    # Requests

    async def _replace(self, resource: Resource, key: ObjectKey, body: Body, status_only: bool) -> Body:
        path = resource.path(key.namespace, key.name)
        if "status" not in resource.subresources:
            return await self.session.call("PUT", path, body)
        if status_only:
            return await self._put_status(path, body)
        answer = await self.session.call("PUT", path, body)
        if "status" not in body or body["status"] == answer.get("status"):
            return answer
        return await self._put_status(path, {**body, "metadata": answer["metadata"]})

    async def _put_status(self, path: str, body: Body) -> Body:
        """Replace a status and nothing else: a PUT would take the labels and annotations of most kinds with it."""
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]},
            {"op": "add", "path": "/status", "value": body.get("status") or {}},
        ]
        return await self.session.call("PATCH", f"{path}/status", patch, content_type="application/json-patch+json")

    async def _ensure(self, key: ObjectKey, body: Body) -> Body:
        """Return an object of our own, made if it is not there."""
        resource = await self.discovery.of(key.resource)
        path = resource.path(key.namespace, key.name)
        try:
            return await self.session.call("GET", path)
        except NotFound:
            metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
            whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}
            try:
                return await self.session.call("POST", resource.path(key.namespace), whole)
            except AlreadyExists:
                return await self.session.call("GET", path)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the store is closed")
        if self._failed is not None:
            raise StorageUnavailable(f"the store has failed: {self._failed}") from self._failed


def _body_of(resource: Resource, key: ObjectKey, tail: bytes) -> Body:
    body: Body = orjson.loads(b'{"metadata":{%b' % tail)
    metadata = {**body["metadata"], "name": key.name}
    if key.namespace:
        metadata["namespace"] = key.namespace
    return {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _check(present: Record, expected: Revision | None, expected_uid: Uid | None) -> None:
    if expected_uid is not None and present.uid != expected_uid:
        raise Conflict(f"{present.key} has uid {present.uid}, not {expected_uid}")
    if expected is not None and present.revision != expected:
        raise Conflict(f"{present.key} has version {present.revision}, not {expected}")
