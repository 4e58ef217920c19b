from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from cloudcore.errors import Gone
from tests.support.apiservers import RunningServer
from tests.support.waiting import aeventually

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEADLINE_S = 20


def configmap(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}}


async def next_event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        event: dict[str, Any] = json.loads(await response.content.readline())
        return event


async def test_changes_arrive_as_lines(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    await server.client.create("configmaps", configmap("a"))
    async with admin.get(f"{CONFIGMAPS}?watch=1") as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert (await next_event(response))["object"]["metadata"]["name"] == "a"
        await server.client.delete("configmaps", "default", "a")
        event = await next_event(response)
    assert (event["type"], event["object"]["kind"]) == ("DELETED", "ConfigMap")


async def test_selected_changes_from_a_revision(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    since = server.registry.store.revision
    async with admin.get(f"{CONFIGMAPS}?watch=1&labelSelector=tier=x&resourceVersion={since}") as response:
        await server.client.create("configmaps", configmap("other"))
        await server.client.create("configmaps", configmap("mine", tier="x"))
        assert (await next_event(response))["object"]["metadata"]["name"] == "mine"


async def test_rows_define_their_columns_once(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    query = "watch=1&allowWatchBookmarks=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan"
    await server.client.create("configmaps", configmap("a"))
    async with admin.get(f"{CONFIGMAPS}?{query}", headers=headers) as response:
        first, bookmark = await next_event(response), await next_event(response)
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert first["object"]["rows"][0]["cells"][0] == "a"
    assert (bookmark["type"], bookmark["object"]["rows"]) == ("BOOKMARK", [])
    assert bookmark["object"]["columnDefinitions"] is None


async def test_a_watch_ends_when_its_time_is_up(admin: aiohttp.ClientSession) -> None:
    async with admin.get(f"{CONFIGMAPS}?watch=1&timeoutSeconds=1") as response:
        async with asyncio.timeout(DEADLINE_S):
            assert await response.content.read() == b""


async def test_a_client_that_goes_frees_its_watch(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    response = await admin.get(f"{CONFIGMAPS}?watch=1")
    await aeventually(lambda: len(server.app.streams) == 1)
    response.close()
    await aeventually(lambda: len(server.app.streams) == 0)


async def test_closing_the_server_ends_watches_cleanly(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    response = await admin.get(f"{CONFIGMAPS}?watch=1")
    await aeventually(lambda: len(server.app.streams) == 1)
    await server.server.close()
    assert await response.content.read() == b""
    assert len(server.app.streams) == 0


async def test_a_compacted_revision_is_told_in_the_stream(
    server: RunningServer, admin: aiohttp.ClientSession, monkeypatch: Any
) -> None:
    class Compacted:
        def __aiter__(self) -> Compacted:
            return self

        async def __anext__(self) -> None:
            raise Gone("too old resource version: 1")

        def close(self) -> None:
            """Nothing is held."""

    monkeypatch.setattr(server.registry.store, "watch", lambda *_args, **_more: Compacted())
    async with admin.get(f"{CONFIGMAPS}?watch=1&resourceVersion=1") as response:
        event = await next_event(response)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_many_initial_events_arrive_in_full(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    for number in range(120):
        body = {**configmap(f"c{number:03}"), "data": {"k": "x" * 2000}}
        await server.client.create("configmaps", body)
    async with admin.get(f"{CONFIGMAPS}?watch=1") as response:
        names = [(await next_event(response))["object"]["metadata"]["name"] for _ in range(120)]
    assert names == [f"c{number:03}" for number in range(120)]
