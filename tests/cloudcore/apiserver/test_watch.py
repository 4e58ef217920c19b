from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import orjson
import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.watch import WatchEvent, WatchOptions, watch
from cloudcore.errors import BadRequest, GatewayTimeout, MethodNotAllowed
from protocol.objects.resources import DEFINITIONS
from tests.support.definitions import CRONTABS, a_definition
from tests.support.registries import a_configmap, target

Next = Callable[[], Any]


@asynccontextmanager
async def watching(registry: Registry, name: str = "", **options: Any) -> AsyncIterator[Next]:
    """Open a watch of configmaps in ``default``; yield a function that returns the next event."""
    events = watch(registry, target(registry, "configmaps", "default", name), WatchOptions(**options))
    waiting: list[WatchEvent] = []

    async def next_event() -> WatchEvent:
        while not waiting:
            async with asyncio.timeout(10):
                waiting.extend(await anext(events))
        return waiting.pop(0)

    async with aclosing(events):
        yield next_event


def told(event: WatchEvent) -> tuple[str, str]:
    return event.type, orjson.loads(event.json)["metadata"].get("name", "")


def labelled(name: str, tier: str) -> dict[str, Any]:
    body = a_configmap(name)
    body["metadata"]["labels"] = {"tier": tier}
    return body


async def test_a_watch_tells_each_change_in_order(registry: Registry, client: LocalClient) -> None:
    since = str(registry.store.revision)
    async with watching(registry, resource_version=since) as next_event:
        await client.create("configmaps", a_configmap("a"))
        await client.patch("configmaps", "default", "a", {"data": {"x": "y"}})
        last = await client.delete("configmaps", "default", "a")
        assert told(await next_event()) == ("ADDED", "a")
        assert told(await next_event()) == ("MODIFIED", "a")
        event = await next_event()
        assert told(event) == ("DELETED", "a")
        assert orjson.loads(event.line) == {"type": "DELETED", "object": last}
        assert event.line.endswith(b"}\n")


async def test_a_watch_from_nowhere_begins_with_what_is_there(registry: Registry, client: LocalClient) -> None:
    await client.create("configmaps", a_configmap("a"))
    for version in ("", "0"):
        async with watching(registry, resource_version=version) as next_event:
            assert told(await next_event()) == ("ADDED", "a")
            await client.patch("configmaps", "default", "a", {"data": {"x": version}})
            assert told(await next_event()) == ("MODIFIED", "a")


async def test_many_present_objects_come_in_groups(registry: Registry, client: LocalClient) -> None:
    for index in range(501):
        await client.create("configmaps", a_configmap(f"c{index:03}"))
    async with watching(registry) as next_event:
        seen = [told(await next_event()) for _ in range(501)]
    assert seen == [("ADDED", f"c{index:03}") for index in range(501)]


async def test_a_watch_from_a_revision_misses_nothing_since(registry: Registry, client: LocalClient) -> None:
    first = await client.create("configmaps", a_configmap("a"))
    await client.create("configmaps", a_configmap("b"))
    async with watching(registry, resource_version=first["metadata"]["resourceVersion"]) as next_event:
        assert told(await next_event()) == ("ADDED", "b")


async def test_entering_and_leaving_the_selection_are_added_and_deleted(
    registry: Registry, client: LocalClient
) -> None:
    since = str(registry.store.revision)
    async with watching(registry, resource_version=since, label_selector="tier=front") as next_event:
        await client.create("configmaps", labelled("a", "back"))
        await client.update("configmaps", labelled("a", "front"))
        await client.patch("configmaps", "default", "a", {"data": {"x": "y"}})
        await client.update("configmaps", labelled("a", "back"))
        await client.delete("configmaps", "default", "a")
        await client.create("configmaps", labelled("b", "front"))
        await client.delete("configmaps", "default", "b")
        seen = [told(await next_event()) for _ in range(5)]
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b"), ("DELETED", "b")]


async def test_one_object_can_be_watched(registry: Registry, client: LocalClient) -> None:
    since = str(registry.store.revision)
    async with watching(registry, "b", resource_version=since) as next_event:
        await client.create("configmaps", a_configmap("a"))
        await client.create("configmaps", a_configmap("b"))
        assert told(await next_event()) == ("ADDED", "b")


async def test_initial_events_end_with_a_marked_bookmark(registry: Registry, client: LocalClient) -> None:
    await client.create("configmaps", a_configmap("a"))
    options: dict[str, Any] = {"send_initial_events": True, "bookmarks": True}
    async with watching(registry, **options) as next_event:
        assert told(await next_event()) == ("ADDED", "a")
        end = orjson.loads((await next_event()).line)
    assert end["type"] == "BOOKMARK"
    assert end["object"]["kind"] == "ConfigMap"
    assert end["object"]["metadata"]["resourceVersion"] == str(registry.store.revision)
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_quiet_watch_gets_bookmarks_only_if_it_asked(registry: Registry, client: LocalClient) -> None:
    since = str(registry.store.revision)
    async with watching(registry, resource_version=since, bookmarks=True, bookmark_s=0.01) as next_event:
        assert (await next_event()).type == "BOOKMARK"
    async with watching(registry, resource_version=since, bookmark_s=0.01) as next_event:
        waiting = asyncio.ensure_future(next_event())
        await client.create("configmaps", a_configmap("a"))
        assert told(await waiting) == ("ADDED", "a")


async def test_a_watch_ends_when_the_store_closes(registry: Registry) -> None:
    options = WatchOptions(resource_version=str(registry.store.revision))
    events = watch(registry, target(registry, "configmaps"), options)
    ended = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await registry.store.close()
    assert await ended is None


async def test_a_watch_of_a_custom_kind_ends_with_its_definition(registry: Registry, client: LocalClient) -> None:
    await client.create(DEFINITIONS, a_definition())
    options = WatchOptions(resource_version=str(registry.store.revision), bookmark_s=0.01)
    events = watch(registry, target(registry, CRONTABS), options)
    ended = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await client.patch(DEFINITIONS, "", CRONTABS, {"metadata": {"finalizers": None}})
    await client.delete(DEFINITIONS, "", CRONTABS)
    async with asyncio.timeout(10):
        assert await ended is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"resource_version": "x"}, BadRequest),
        ({"field_selector": "a.b=c"}, BadRequest),
        ({"send_initial_events": True}, BadRequest),
        ({"resource_version": "999999"}, GatewayTimeout),
    ],
)
async def test_a_watch_that_cannot_be_opened(
    registry: Registry, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        watch(registry, target(registry, "configmaps"), WatchOptions(**options))


async def test_a_virtual_kind_cannot_be_watched(registry: Registry) -> None:
    with pytest.raises(MethodNotAllowed):
        watch(registry, target(registry, "nodelinks.edge.aiokubeedge.io"), WatchOptions())
