"""The API over real sockets of the loopback, on a store and rights made by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import pytest

from edgecore.hub.requests import NotReached
from edgecore.meta.base import Applied, Held, Subscriber
from edgecore.metaserver import server as serving_module
from edgecore.metaserver.access import PodIdentity
from edgecore.metaserver.metaserver import Metaserver, Setup, listening
from protocol.errors import UsageError
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from tests.support.waiting import aeventually

POD = PodIdentity("default", "app", "web", Uid("pod-uid"))


class Store:
    """A meta store in memory."""

    complete = True
    life = 3

    def __init__(self) -> None:
        self.held: dict[ObjectKey, Held] = {}
        self.statuses: dict[ObjectKey, Body] = {}
        self.events: list[Body] = []
        self._subscriber: Subscriber | None = None
        self._listener: Callable[[ObjectKey], None] = lambda _: None

    def get(self, key: ObjectKey) -> Held | None:
        return self.held.get(key)

    def list(self, resource: str) -> Sequence[Held]:
        return [held for key, held in self.held.items() if key.resource == resource]

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    def status_of(self, key: ObjectKey, uid: Uid) -> Body:
        del uid
        return self.statuses.get(key, {})

    def on_status(self, listener: Callable[[ObjectKey], None]) -> None:
        self._listener = listener

    async def save(self) -> None:
        return

    async def event(self, body: Body) -> None:
        self.events.append(body)

    def put(self, resource: str, name: str, version: int = 1, **body: Any) -> None:
        key = ObjectKey(resource, "default", name)
        labels = body.pop("labels", {})
        metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels}
        before = self.held.get(key)
        whole = {"apiVersion": "v1", "metadata": metadata, **body}
        self.held[key] = Held(key, Uid(f"uid-{name}"), Revision(version), whole)
        self._tell(Applied(key, self.held[key], before))

    def drop(self, resource: str, name: str) -> None:
        key = ObjectKey(resource, "default", name)
        self._tell(Applied(key, None, self.held.pop(key)))

    def status(self, name: str, status: Body) -> None:
        key = ObjectKey("pods", "default", name)
        self.statuses[key] = status
        self._listener(key)

    def _tell(self, change: Applied) -> None:
        if self._subscriber is not None:
            self._subscriber.applied([change])


@dataclass
class Cloud:
    """A cloud that answers as told."""

    connected: bool = False
    code: int = 200
    lost: bool = False
    asked: list[Body] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    listeners: list[Callable[[bool], None]] = field(default_factory=list)

    def on_change(self, listener: Callable[[bool], None]) -> None:
        self.listeners.append(listener)

    def connect(self, *, up: bool) -> None:
        self.connected = up
        for listener in self.listeners:
            listener(up)

    async def ask(self, key: ObjectKey, body: bytes, *, request_id: str = "", timeout_s: float = 30.0) -> bytes:
        del key, timeout_s
        self.ids.append(request_id)
        self.asked.append(msgpack.unpackb(body))
        if self.lost:
            self.lost = False
            raise NotReached("lost")
        told = {"code": self.code, "body": {"kind": "Status", "reason": "Forbidden", "message": "no"}, "version": 0}
        return bytes(msgpack.packb(told))


@dataclass
class Rights:
    """Knows one token; refuses what it is told to."""

    refused: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def who(self, bearer: str, now: float) -> PodIdentity | None:
        del now
        return POD if bearer == "good" else None

    def may(self, identity: PodIdentity, verb: str, resource: str, namespace: str = "", name: str = "", *,
            subresource: str = "") -> bool:  # fmt: skip
        del identity, namespace, subresource
        self.asked.append((verb, resource, name))
        return resource not in self.refused


@dataclass
class Served:
    """A metaserver that serves."""

    store: Store
    cloud: Cloud
    rights: Rights
    port: int
    server: Metaserver

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        return answer

    async def ask(self, method: str, path: str, body: Any = None, *, token: str = "good", form: str = "json",
                  accept: str = "") -> tuple[int, Any]:  # fmt: skip
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/{form}\r\n"
        head += f"Authorization: Bearer {token}\r\nAccept: {accept}\r\nContent-Length: {len(data)}\r\n\r\n"
        answer = await self.raw(head.encode() + data)
        first, _, rest = answer.partition(b"\r\n")
        content = rest.partition(b"\r\n\r\n")[2]
        return int(first.split()[1]), json.loads(content) if content.startswith(b"{") else content

    async def watch(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer


async def line(reader: asyncio.StreamReader) -> tuple[str, Body]:
    """Return the next event of a watch."""
    async with asyncio.timeout(20):
        size = int(await reader.readline(), 16)
        event: Body = json.loads(await reader.readexactly(size)) if size else {"type": "", "object": {}}
        await reader.readline()
    return event["type"], event["object"]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    store, cloud, rights = Store(), Cloud(), Rights()
    store.put("configmaps", "colours", 7, data={"a": "1"}, labels={"app": "web"})
    store.put("secrets", "key", data={"k": "eA=="})
    store.put("pods", "web", spec={"containers": [{"name": "main"}], "nodeName": "n"})
    sock = listening("127.0.0.1", 0)
    setup = Setup((sock,), None, folder / "writes", "1.0", Random(1))
    server = Metaserver(setup, store, store, cloud, rights)  # type: ignore[arg-type]
    async with server.running():
        yield Served(store, cloud, rights, sock.getsockname()[1], server)


@pytest.mark.parametrize(
    "path", ["/api", "/apis", "/version", "/api/v1/pods", "/api/v1/namespaces/default/secrets/key", "/openapi/v2", "/x"]
)
async def test_nobody_is_anonymous(tmp_path: Path, path: str) -> None:
    async with served(tmp_path) as it:
        code, body = await it.ask("GET", path, token="bad")
        assert (code, body["reason"]) == (401, "Unauthorized")
        assert it.rights.asked == []


async def test_only_health_is_told_to_everybody(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        assert await it.ask("GET", "/healthz", token="") == (200, b"ok")


async def test_each_verb_asks_for_its_right(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.rights.refused = {"secrets"}
        one = "/api/v1/namespaces/default/secrets/key"
        many = "/api/v1/namespaces/default/secrets"
        for method, path in [("GET", one), ("GET", many), ("GET", many + "?watch=1"), ("PUT", one), ("PATCH", one),
                             ("POST", many), ("DELETE", one), ("DELETE", many)]:  # fmt: skip
            code, body = await it.ask(method, path, {"metadata": {"name": "key"}})
            assert (code, body["reason"]) == (403, "Forbidden"), (method, path)
        assert [verb for verb, *_ in it.rights.asked] == [
            "get", "list", "watch", "update", "patch", "create", "delete", "deletecollection",
        ]  # fmt: skip


@pytest.mark.parametrize(("method", "name"), [("POST", "/a"), ("PUT", ""), ("TRACE", "/a")])
async def test_a_method_that_means_nothing_there_is_refused(tmp_path: Path, method: str, name: str) -> None:
    async with served(tmp_path) as it:
        code, body = await it.ask(method, f"/api/v1/namespaces/default/pods{name}", {})
        assert (code, body["reason"]) == (405, "MethodNotAllowed")


async def test_a_pod_shows_the_status_that_the_device_knows_now(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.store.status("web", {"phase": "Running"})
        code, body = await it.ask("GET", "/api/v1/namespaces/default/pods/web")
        assert (code, body["status"]) == (200, {"phase": "Running"})
        _, listed = await it.ask("GET", "/api/v1/pods?fieldSelector=status.phase%3DRunning")
        assert [item["metadata"]["name"] for item in listed["items"]] == ["web"]
        assert int(listed["metadata"]["resourceVersion"]) == (3 << 32) + 1


async def test_lists_select_and_tables_print(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        _, none = await it.ask("GET", "/api/v1/configmaps?labelSelector=app%21%3Dweb")
        assert none["items"] == []
        _, table = await it.ask("GET", "/api/v1/pods", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert table["kind"] == "Table"
        assert table["rows"][0]["cells"][:3] == ["web", "0/1", "Pending"]


async def test_a_watch_tells_what_changes_for_what_it_selects(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        reader, writer = await it.watch("/api/v1/configmaps?watch=1&labelSelector=app%3Dweb")
        assert (await line(reader))[0] == "ADDED"
        it.store.put("configmaps", "other", labels={"app": "db"})
        it.store.put("configmaps", "colours", 8, data={"a": "2"}, labels={"app": "web"})
        event, body = await line(reader)
        assert (event, body["data"]) == ("MODIFIED", {"a": "2"})
        it.store.put("configmaps", "colours", 9, labels={"app": "db"})
        assert (await line(reader))[0] == "DELETED"
        it.store.put("configmaps", "other", 2, labels={"app": "web"})
        assert (await line(reader))[0] == "ADDED"
        it.store.drop("configmaps", "other")
        assert (await line(reader))[0] == "DELETED"
        writer.close()


async def test_a_watch_begins_where_it_left_off_or_lists_again(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        _, listed = await it.ask("GET", "/api/v1/configmaps")
        it.store.put("configmaps", "colours", 8, data={"a": "2"})
        since = listed["metadata"]["resourceVersion"]
        reader, writer = await it.watch(f"/api/v1/configmaps?watch=1&resourceVersion={since}")
        assert (await line(reader))[0] == "MODIFIED"
        writer.close()
        reader, writer = await it.watch("/api/v1/configmaps?watch=1&resourceVersion=5")
        event, body = await line(reader)
        assert (event, body["code"]) == ("ERROR", 410)
        writer.close()


async def test_initial_events_end_with_a_bookmark(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        reader, writer = await it.watch(f"/api/v1/configmaps?{query}")
        assert (await line(reader))[0] == "ADDED"
        event, body = await line(reader)
        assert (event, body["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})
        writer.close()


async def test_one_pod_has_only_so_many_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "MAX_WATCHES_OF_A_POD", 1)
    async with served(tmp_path) as it:
        reader, writer = await it.watch("/api/v1/configmaps?watch=1")
        await line(reader)
        code, _ = await it.ask("GET", "/api/v1/configmaps?watch=1")
        assert code == 429
        writer.close()


async def test_connections_that_say_nothing_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "MAX_CONNECTIONS", 3)
    async with served(tmp_path) as it:
        watching, watcher = await it.watch("/api/v1/configmaps?watch=1")
        assert (await line(watching))[0] == "ADDED"
        silent = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(8)]
        assert (await it.ask("GET", "/api/v1/configmaps"))[0] == 200
        async with asyncio.timeout(20):
            assert await silent[0][0].read() == b"", "the one that waited longest was cut off"
        it.store.put("configmaps", "colours", 8, labels={"app": "web"})
        assert (await line(watching))[0] == "MODIFIED", "who is being served is left alone"
        assert it.server.live()["connections"] <= 3
        for writer in (watcher, *(writer for _, writer in silent)):
            writer.close()


async def test_with_every_place_at_work_the_next_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "MAX_CONNECTIONS", 1)
    async with served(tmp_path) as it:
        watching, watcher = await it.watch("/api/v1/configmaps?watch=1")
        await line(watching)
        with pytest.raises((ConnectionError, IndexError)):  # reset, or nothing at all
            await it.ask("GET", "/api/v1/configmaps")
        watcher.close()


async def test_what_is_no_http_is_answered_and_cut_off(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        assert (await it.raw(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_queued_write_shows_and_goes_up_once_the_cloud_is_back(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        path = "/api/v1/namespaces/default/configmaps/colours"
        _, seen = await it.ask("GET", path)
        code, after = await it.ask("PUT", path, {**seen, "data": {"a": "9"}})
        assert (code, after["data"]) == (200, {"a": "9"})
        assert after["metadata"]["annotations"]["edge.aiokubeedge.io/pending-write"]
        code, _ = await it.ask("PUT", path, {**seen, "data": {"a": "10"}})
        assert code == 409, "it was made from what is no more"
        it.cloud.connect(up=True)
        await aeventually(lambda: it.server.live()["writesWaiting"] == 0)
        assert [(each["verb"], each["version"], each["uid"]) for each in it.cloud.asked] == [
            ("update", 7, "uid-colours")
        ]


async def test_a_write_whose_answer_is_lost_is_sent_again_under_its_id(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        it.cloud.connect(up=True)
        it.cloud.lost = True
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}
        code, _ = await it.ask("POST", "/api/v1/namespaces/default/configmaps", body)
        assert code == 202
        await aeventually(lambda: it.server.live()["writesWaiting"] == 0)
        assert len(it.cloud.ids) == 2
        assert len(set(it.cloud.ids)) == 1


async def test_a_refusal_is_told_shown_and_undone(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        path = "/api/v1/namespaces/default/configmaps/colours"
        await it.ask("PATCH", path, {"data": {"b": "2"}}, form="merge-patch+json")
        it.cloud.code = 403
        it.cloud.connect(up=True)
        await aeventually(lambda: bool(it.store.events))
        assert it.store.events[0]["reason"] == "QueuedWriteRefused"
        assert it.server.live()["writesRefused"] == 1
        _, body = await it.ask("GET", path)
        assert body["data"] == {"a": "1"}


async def test_the_clouds_own_trouble_refuses_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        await it.ask("DELETE", "/api/v1/namespaces/default/configmaps/colours")
        it.cloud.code = 503
        it.cloud.connect(up=True)
        await aeventually(lambda: bool(it.cloud.asked))
        assert it.server.live()["writesWaiting"] == 1
        assert it.server.live()["writesRefused"] == 0


def test_a_port_that_was_asked_for_must_be_had() -> None:
    with listening("127.0.0.1", None) as taken, pytest.raises(UsageError):
        listening("127.0.0.1", taken.getsockname()[1])


async def test_what_is_gone_already_counts_as_deleted(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        await it.ask("DELETE", "/api/v1/namespaces/default/configmaps/colours")
        code, _ = await it.ask("GET", "/api/v1/namespaces/default/configmaps/colours")
        assert code == 404
        it.cloud.code = 404
        it.cloud.connect(up=True)
        await aeventually(lambda: it.server.live()["writesWaiting"] == 0)
        assert it.server.live()["writesRefused"] == 0
