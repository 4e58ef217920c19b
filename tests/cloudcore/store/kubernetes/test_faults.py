"""The store over a network that breaks and in front of a server that is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from cloudcore.errors import Conflict, Gone, NotFound, StorageUnavailable, TooManyRequests
from cloudcore.store.base import ChangeType, Record
from cloudcore.store.kubernetes import KubernetesStore
from cloudcore.store.kubernetes.follower import Rewound
from protocol.objects.keys import ObjectKey, Revision, Uid
from tests.contracts.store import POD, PODS, outcomes, tail
from tests.support.apifaults import FaultyRelay, faulty_relay
from tests.support.kubernetesstores import Server, definition, kubernetes
from tests.support.waiting import aeventually

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@dataclass
class Lab:
    server: Server
    relay: FaultyRelay
    store: KubernetesStore

    async def create(self, name: str) -> Record:
        return await self.store.create(ObjectKey(PODS, "d", name), tail(name), uid=Uid(name))

    async def elsewhere(self, name: str) -> None:
        """Create an object as another client of the server does."""
        await self.server.running.client.create(PODS, {"metadata": {"name": name, "namespace": "d"}})


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with kubernetes(tmp_path) as server, faulty_relay(server.running.session()) as relay:
        store = await server.store(url=relay.url)
        yield Lab(server, relay, store)
        await store.close()


def status(code: int, reason: str, *, retry_after: int | None = None) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"{reason}, says a test"}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(status=code, body=orjson.dumps(body), content_type="application/json", headers=headers)


class Storm:
    """Answers the first so many requests that fit with an error."""

    def __init__(self, times: int, code: int, reason: str, *, method: str = "", retry_after: int | None = 0) -> None:
        self.left = times
        self._answer = (code, reason)
        self._method = method
        self._retry_after = retry_after

    def __call__(self, request: web.Request) -> web.Response | None:
        if not self.left or self._method not in {"", request.method}:
            return None
        self.left -= 1
        return status(*self._answer, retry_after=self._retry_after)


async def names(lab: Lab) -> list[str]:
    return [record.key.name for record in (await lab.store.list(PODS)).records]


async def collected(lab: Lab, since: Revision, count: int) -> list[tuple[ChangeType, str]]:
    watch = lab.store.watch([PODS], since=since)
    seen: list[tuple[ChangeType, str]] = []
    async for progress in watch:
        seen += [(change.type, change.record.key.name) for change in progress.changes]
        if len(seen) >= count:
            break
    watch.close()
    return seen


async def test_a_watch_that_is_reset_goes_on_where_it_was(lab: Lab) -> None:
    since = (await lab.store.list(PODS)).revision
    watching = asyncio.ensure_future(collected(lab, since, 4))
    for turn in range(4):
        await aeventually(lambda: lab.relay.count("GET", "watch=1") > turn and lab.relay.watching, what="a watch")  # noqa: B023
        await lab.create(str(turn))
        lab.relay.reset_all()
    assert await watching == [(ChangeType.ADDED, str(turn)) for turn in range(4)]
    assert lab.store.relists == 0
    assert lab.relay.count("GET", f"{PODS.partition('.')[0]}?limit") == 1


async def test_what_happens_while_the_watch_is_broken_is_not_lost(lab: Lab) -> None:
    first = await lab.create("first")
    broken = True
    lab.relay.answer = lambda request: status(502, "") if broken and "watch" in request.query else None
    lab.relay.reset_all()
    await aeventually(lambda: bool(lab.store.trouble), what="the store says what is wrong")
    await lab.elsewhere("second")
    await lab.server.running.client.delete(PODS, "d", "first")
    broken = False
    expected = [(ChangeType.ADDED, "second"), (ChangeType.DELETED, "first")]
    assert await collected(lab, first.revision, 2) == expected
    await aeventually(lambda: not lab.store.trouble, what="all is well again")


@pytest.mark.parametrize("piece", [1, 7])
async def test_events_come_in_pieces_of_any_size(lab: Lab, piece: int) -> None:
    lab.relay.piece = piece
    created = await lab.create("whole")
    assert await lab.store.get(created.key) == created


async def test_a_position_that_is_gone_is_followed_by_a_list_and_told(lab: Lab) -> None:
    kept, gone = await lab.create("kept"), await lab.create("gone")
    watch = lab.store.watch([PODS], since=gone.revision)
    lab.relay.answer = Storm(1, 410, "Expired", retry_after=None)
    lab.relay.reset_all()
    with pytest.raises(Gone):
        await anext(aiter(watch))
    assert lab.store.relists == 1
    (again, _) = (await lab.store.list(PODS)).records[::-1]
    assert again.content_revision == kept.content_revision, "what was not changed meanwhile is no news"


async def test_an_error_in_the_middle_of_a_watch_counts_like_one_before_it(lab: Lab) -> None:
    await lab.create("a")

    def expired(request: web.Request) -> web.Response | None:
        if "watch" not in request.query:
            return None
        lab.relay.answer = None
        error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        return web.Response(body=orjson.dumps({"type": "ERROR", "object": error}) + b"\n")

    lab.relay.answer = expired
    lab.relay.reset_all()
    await aeventually(lambda: lab.store.relists == 1, what="the list after the error")
    assert await names(lab) == ["a"]


async def test_a_deletion_that_nobody_watched_is_found_in_the_list(lab: Lab) -> None:
    created = await lab.create("a")
    lab.relay.answer = lambda request: status(410, "Expired") if "watch" in request.query else None
    lab.relay.reset_all()
    deleted = await lab.store.delete(created.key)
    assert (deleted.uid, deleted.tail) == (created.uid, created.tail)
    assert deleted.revision > created.revision


async def test_a_storm_of_429_passes_by_waiting(lab: Lab) -> None:
    storm = lab.relay.answer = Storm(3, 429, "TooManyRequests")
    created = await lab.create("a")
    assert storm.left == 0
    assert await lab.store.get(created.key) == created


async def test_a_storm_that_does_not_pass_is_told(lab: Lab) -> None:
    await names(lab)
    lab.relay.answer = Storm(100, 429, "TooManyRequests", method="POST")
    with pytest.raises(TooManyRequests):
        await lab.create("a")
    assert lab.relay.count("POST", PODS.partition(".")[0]) == 4


async def test_a_server_that_says_no_without_saying_when_is_believed(lab: Lab) -> None:
    await names(lab)
    lab.relay.answer = Storm(1, 503, "ServiceUnavailable", method="POST", retry_after=None)
    with pytest.raises(StorageUnavailable):
        await lab.create("a")
    assert await names(lab) == []


async def test_a_write_whose_connection_broke_is_not_sent_twice(lab: Lab) -> None:
    """It may have been stored: only the caller knows what a second one would do."""
    await names(lab)

    lab.relay.swallows = frozenset({"POST"})
    with pytest.raises(StorageUnavailable):
        await lab.create("a")
    await aeventually(lambda: lab.store._copies.get(ObjectKey(PODS, "d", "a")) is not None, what="it was stored")
    assert lab.relay.count("POST", PODS.partition(".")[0]) == 1


async def test_slow_answers_hold_up_nobody_else(lab: Lab) -> None:
    await names(lab)
    lab.relay.delay_s = 0.05
    results = await outcomes(*(lab.create(str(number)) for number in range(20)))
    assert [type(result) for result in results] == [Record] * 20
    assert len(await names(lab)) == 20


async def test_a_status_is_compared_and_swapped_too(lab: Lab) -> None:
    created = await lab.store.create(POD, tail(), uid=Uid("u"))
    written = await lab.store.update(POD, tail(status={"a": 1}), expected=created.revision, status_only=True)
    assert written.content_revision == created.content_revision
    with pytest.raises(Conflict):
        await lab.store.update(POD, tail(status={"a": 2}), expected=created.revision, status_only=True)
    assert (await lab.store.get(POD)).decode()["status"] == {"a": 1}


async def test_spec_and_status_are_two_requests_and_one_update(lab: Lab) -> None:
    await lab.store.create(POD, tail(), uid=Uid("u"))
    written = await lab.store.update(POD, tail(spec={"x": 1}, status={"y": 2}))
    body = (await lab.store.get(POD)).decode()
    assert (body["spec"], body["status"]) == ({"x": 1}, {"y": 2})
    assert body["metadata"]["resourceVersion"] == str(written.revision)


async def test_an_object_that_finalizers_keep_is_returned_as_it_waits(lab: Lab) -> None:
    key = ObjectKey(PODS, "d", "kept")
    body = {"metadata": {"name": "kept", "namespace": "d", "finalizers": ["test.example/wait"]}}
    await lab.server.running.client.create(PODS, body)
    waiting = await lab.store.delete(key)
    assert waiting.decode()["metadata"]["deletionTimestamp"]
    assert await lab.store.get(key) == waiting


async def test_a_resource_that_comes_later_is_found_then(lab: Lab) -> None:
    with pytest.raises(NotFound):
        await lab.store.list("later.contract.test")
    await lab.server.running.client.create(
        "customresourcedefinitions.apiextensions.k8s.io", definition("later.contract.test", "Namespaced")
    )
    assert (await lab.store.list("later.contract.test")).records == []


async def test_versions_that_go_back_end_the_store_and_its_incarnation(lab: Lab) -> None:
    created = await lab.create("a")
    incarnation = lab.store.incarnation

    def rewound(request: web.Request) -> web.Response | None:
        if not request.path.endswith(f"/{PODS.partition('.')[0]}") or request.method != "GET":
            return None
        if "watch" in request.query:
            return status(410, "Expired")
        page = {"kind": "List", "metadata": {"resourceVersion": str(created.revision - 1)}, "items": []}
        return web.Response(body=orjson.dumps(page), content_type="application/json")

    watch = lab.store.watch([PODS], since=created.revision)
    lab.relay.answer = rewound
    lab.relay.reset_all()
    with pytest.raises(Rewound):
        await anext(aiter(watch))
    with pytest.raises(StorageUnavailable, match="restored"):
        await lab.store.get(created.key)
    lab.relay.answer = None
    assert (await lab.server.store()).incarnation != incarnation


async def test_closing_ends_who_waits_for_a_server_that_is_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudcore.store.kubernetes.store._PATIENCE_S", 0.05)
    created = await lab.create("a")
    lab.relay.answer = lambda request: status(503, "") if "watch" in request.query else None
    lab.relay.reset_all()
    await aeventually(lambda: bool(lab.store.trouble), what="the watch has broken")
    deleting = asyncio.ensure_future(lab.store.delete(created.key))
    await aeventually(lambda: lab.relay.count("DELETE", "/a") == 1, what="the request was sent")
    await lab.store.close()
    with pytest.raises(StorageUnavailable, match="no longer followed"):
        await deleting
    with pytest.raises(StorageUnavailable, match="closed"):
        await lab.store.get(created.key)
