"""Informer, reflector, factory and the read-your-writes client, on a memory store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import StorageUnavailable
from cloudcore.informers import Informers, ReadYourWrites
from cloudcore.store.base import Listing, Record, encode
from cloudcore.store.memory import MemoryStore
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import Body, ObjectKey, Uid

pytestmark = pytest.mark.looptime

Seen = list[tuple[str | None, str | None]]


def key(name: str) -> ObjectKey:
    return ObjectKey("secrets", "default", name)


def tail(name: str, value: str = "") -> bytes:
    return encode({"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"}, "data": {"v": value}})


async def put(store: MemoryStore, name: str, value: str = "") -> Record:
    return await store.create(key(name), tail(name, value), uid=Uid(f"uid-{name}"))


def follow(informers: Informers) -> Seen:
    seen: Seen = []

    def value(body: Body | None) -> str | None:
        return None if body is None else f"{body['metadata']['name']}{body['data']['v']}"

    informers.for_resource("secrets").subscribe(lambda old, new: seen.append((value(old), value(new))))
    return seen


@asynccontextmanager
async def running(store: MemoryStore) -> AsyncIterator[Informers]:
    informers = Informers(store)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(informers.run())
        yield informers
        task.cancel()
    await store.close()


async def test_handlers_see_the_first_list_and_then_every_change_in_order() -> None:
    store = MemoryStore()
    await put(store, "a")
    async with running(store) as informers:
        seen = follow(informers)
        await informers.wait_synced()
        await put(store, "b")
        await store.update(key("a"), tail("a", "2"))
        last = await store.delete(key("b"))
        await informers.for_resource("secrets").wait_revision(last.revision)
        assert seen == [(None, "a"), (None, "b"), ("a", "a2"), ("b", None)]
        assert [body["data"]["v"] for body in informers.for_resource("secrets").list()] == ["2"]


async def test_a_late_subscriber_gets_what_is_there_and_one_that_leaves_gets_nothing_more() -> None:
    store = MemoryStore()
    await put(store, "a")
    async with running(store) as informers:
        informer = informers.for_resource("secrets")
        await informer.wait_synced()
        seen: list[Body | None] = []
        leave = informer.subscribe(lambda old, new: seen.append(new))
        assert len(seen) == 1
        leave()
        leave()
        record = await put(store, "b")
        await informer.wait_revision(record.revision)
        assert len(seen) == 1


async def test_a_handler_that_fails_stops_nobody() -> None:
    store = MemoryStore()
    async with running(store) as informers:

        def broken(old: Body | None, new: Body | None) -> None:
            raise ZeroDivisionError("bug")

        informers.for_resource("secrets").subscribe(broken)
        seen = follow(informers)
        record = await put(store, "a")
        await informers.for_resource("secrets").wait_revision(record.revision)
        assert seen == [(None, "a")]


async def test_after_gone_handlers_see_the_difference_and_nothing_twice() -> None:
    store = MemoryStore(settings=StoreSettings(history_changes=4))
    for name in ("kept", "changed", "deleted", "replaced"):
        await put(store, name)
    async with running(store) as informers:
        seen = follow(informers)
        await informers.wait_synced()
        seen.clear()
        # All of this in one step of the loop's other tasks: the watch's place is compacted away before it gets on.
        writes = [store.update(key("changed"), tail("changed", "2")), store.delete(key("deleted"))]
        writes += [store.delete(key("replaced"))]
        await asyncio.gather(*writes, *(put(store, f"n{number}") for number in range(12)))
        again = await store.create(key("replaced"), tail("replaced", "new"), uid=Uid("another"))
        await informers.for_resource("secrets").wait_revision(again.revision)
        assert ("deleted", None) in seen
        assert ("changed", "changed2") in seen
        assert seen.count(("replaced", None)) == 1
        assert (None, "replacednew") in seen
        assert not any(new == "kept" for _, new in seen)
        names = {body["metadata"]["name"] for body in informers.for_resource("secrets").list()}
        assert names == {"kept", "changed", "replaced", *(f"n{number}" for number in range(12))}


async def test_a_list_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    await put(store, "a")
    listing, calls = store.list, []

    async def failing(resource: str, **options: object) -> Listing:
        calls.append(resource)
        if len(calls) < 3:
            raise StorageUnavailable("the disk is full")
        return await listing(resource)

    monkeypatch.setattr(store, "list", failing)
    async with running(store) as informers:
        informer = informers.for_resource("secrets")
        await informer.wait_synced()
        assert len(informer.list()) == 1
        assert asyncio.get_running_loop().time() == 2.0


async def test_informers_are_shared_and_may_be_asked_for_while_running() -> None:
    store = MemoryStore()
    async with running(store) as informers:
        await informers.wait_synced()
        assert informers.existing("secrets") is None
        informer = informers.for_resource("secrets")
        assert informers.for_resource("secrets") is informer
        assert informers.existing("secrets") is informer
        await informer.wait_synced()
        assert informer.synced
        assert informers.resources() == ["secrets"]


async def test_a_write_is_in_the_cache_when_it_returns() -> None:
    store = MemoryStore()
    async with running(store) as informers:
        informer = informers.for_resource("nodes")
        await informer.wait_synced()
        client = ReadYourWrites(LocalClient(Registry(store)), informers)
        name = ObjectKey("nodes", "", "n")
        node = await client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        assert informer.get(name) == node
        await client.patch("nodes", "", "n", {"metadata": {"labels": {"a": "b"}}})
        held = informer.get(name)
        assert held is not None
        assert held["metadata"]["labels"] == {"a": "b"}
        changed = await client.get("nodes", "", "n")
        changed["metadata"]["labels"] = {"a": "c"}
        await client.update("nodes", changed)
        assert (informer.get(name) or {})["metadata"]["labels"] == {"a": "c"}
        assert len(await client.list("nodes")) == 1
        await client.delete("nodes", "", "n")
        assert informer.get(name) is None


async def test_a_write_waits_for_a_cache_that_lags_however_long_it_takes() -> None:
    store = MemoryStore()
    informers = Informers(store)
    informer = informers.for_resource("nodes")
    client = ReadYourWrites(LocalClient(Registry(store)), informers, patience_s=5.0)
    async with asyncio.TaskGroup() as group:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
        writing = group.create_task(client.create("nodes", body))
        await asyncio.sleep(60)
        assert not writing.done()
        reading = group.create_task(informers.run())
        assert (await writing)["metadata"]["name"] == "n"
        assert len(informer.list()) == 1
        reading.cancel()
    await store.close()
