"""Writers that race for one object: all four kinds of write, on both sides of a compare-and-swap."""

from __future__ import annotations

import asyncio

import pytest

from cloudcore.apiserver.change import is_finished
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Conflict, NotFound
from cloudcore.store.base import Record
from protocol.objects.keys import ObjectKey
from tests.support.registries import a_configmap, a_context, a_pod, target

CHANGE = {"data": {"x": "y"}}


async def test_a_deletion_that_is_overtaken_looks_again(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    _, last = await asyncio.gather(
        client.patch("configmaps", "default", "settings", CHANGE), client.delete("configmaps", "default", "settings")
    )
    assert last["data"] == {"colour": "blue", "x": "y"}


async def test_a_patch_of_what_goes_meanwhile_finds_nothing(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    _, patched = await asyncio.gather(
        client.delete("configmaps", "default", "settings"),
        client.patch("configmaps", "default", "settings", CHANGE),
        return_exceptions=True,
    )
    assert isinstance(patched, NotFound)


async def test_one_of_two_deletions_finds_nothing(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    deletions = [client.delete("configmaps", "default", "settings") for _ in range(2)]
    results = await asyncio.gather(*deletions, return_exceptions=True)
    assert [isinstance(result, NotFound) for result in results] == [False, True]


async def test_a_binding_that_is_overtaken_looks_again(client: LocalClient) -> None:
    pod = await client.create("pods", a_pod())
    label = {"metadata": {"labels": {"x": "y"}}}
    uid = pod["metadata"]["uid"]
    await asyncio.gather(
        client.patch("pods", "default", "web", label), client.bind("default", "web", "edge-1", uid=uid)
    )
    stored = await client.get("pods", "default", "web")
    assert (stored["spec"]["nodeName"], stored["metadata"]["labels"]["x"]) == ("edge-1", "y")


async def test_two_schedulers_cannot_both_bind(client: LocalClient) -> None:
    pod = await client.create("pods", a_pod())
    binds = [client.bind("default", "web", f"edge-{n}", uid=pod["metadata"]["uid"]) for n in range(2)]
    results = await asyncio.gather(*binds, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Conflict]


async def test_a_binding_of_what_goes_meanwhile_finds_nothing(client: LocalClient) -> None:
    pod = await client.create("pods", a_pod())
    _, bound = await asyncio.gather(
        client.delete("pods", "default", "web"),
        client.bind("default", "web", "edge-1", uid=pod["metadata"]["uid"]),
        return_exceptions=True,
    )
    assert isinstance(bound, NotFound)


async def test_a_race_without_end_is_a_conflict(
    registry: Registry, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.create("configmaps", a_configmap())
    tries = 0

    async def always_lost(key: ObjectKey, tail: bytes, **_options: object) -> Record:
        nonlocal tries
        tries += 1
        raise Conflict(f"{key} moved on")

    monkeypatch.setattr(registry.store, "update", always_lost)
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.patch("configmaps", "default", "settings", CHANGE)
    assert tries > 1


async def test_a_dry_run_changes_nothing(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    settings: Target = target(registry, "configmaps", "default", "settings")
    record = await patch(registry, settings, CHANGE, a_context(dry_run=True))
    assert record.decode()["data"] == {"colour": "blue", "x": "y"}
    assert await client.get("configmaps", "default", "settings") == stored


@pytest.mark.parametrize(
    ("metadata", "finished"),
    [
        ({}, False),
        ({"deletionTimestamp": "t"}, True),
        ({"deletionTimestamp": "t", "deletionGracePeriodSeconds": 0}, True),
        ({"deletionTimestamp": "t", "deletionGracePeriodSeconds": 5}, False),
        ({"deletionTimestamp": "t", "finalizers": ["a"]}, False),
    ],
)
def test_an_object_is_finished_when_nothing_holds_it(metadata: dict[str, object], finished: bool) -> None:
    assert is_finished({"kind": "Pod", "metadata": metadata}) is finished


def test_a_namespace_is_held_by_its_own_finalizers_too() -> None:
    metadata = {"deletionTimestamp": "t"}
    assert not is_finished({"kind": "Namespace", "metadata": metadata, "spec": {"finalizers": ["kubernetes"]}})
    assert is_finished({"kind": "Namespace", "metadata": metadata, "spec": {"finalizers": []}})
