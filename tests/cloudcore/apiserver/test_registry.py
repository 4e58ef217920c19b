from __future__ import annotations

import pytest

from cloudcore.apiserver.create import create
from cloudcore.apiserver.delete import delete
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Conflict, MethodNotAllowed, NotFound
from protocol.objects.keys import Body, Uid
from tests.support.registries import a_context, target

TRACES = "objecttraces.edge.aiokubeedge.io"


def test_virtual_records_are_sorted_and_complete(registry: Registry) -> None:
    kind = registry.kinds.of("nodelinks.edge.aiokubeedge.io")
    registry.provide(kind.resource, lambda: [{"metadata": {"name": "b"}}, {"metadata": {"name": "a", "uid": "u"}}])
    first, second = registry.virtual_records(kind)
    assert (first.key.name, first.uid, second.key.name) == ("a", "u", "b")
    assert first.decode() == {
        "apiVersion": "edge.aiokubeedge.io/v1alpha1",
        "kind": "NodeLink",
        "metadata": {"name": "a", "uid": "u", "resourceVersion": str(registry.store.revision)},
    }


async def test_a_virtual_kind_is_created_and_deleted_by_whoever_takes_it(
    registry: Registry, client: LocalClient
) -> None:
    kept: dict[str, Body] = {}

    def take(body: Body) -> Body:
        kept[body["metadata"]["name"]] = body
        return body | {"status": {"state": "Waiting"}}

    registry.provide(TRACES, lambda: list(kept.values()), kept.get)
    with pytest.raises(MethodNotAllowed):
        await client.create(TRACES, {"metadata": {"generateName": "trace-"}})
    registry.take(TRACES, take, kept.pop)
    made = await client.create(TRACES, {"metadata": {"generateName": "trace-"}, "spec": {"name": "web"}})
    name = made["metadata"]["name"]
    assert (made["status"], made["kind"]) == ({"state": "Waiting"}, "ObjectTrace")
    assert made["metadata"]["uid"]
    assert (await client.get(TRACES, "", name))["spec"] == {"name": "web"}
    with pytest.raises(Conflict):
        await client.delete(TRACES, "", name, uid=Uid("another"))
    await client.delete(TRACES, "", name)
    assert kept == {}
    with pytest.raises(NotFound):
        await client.get(TRACES, "", name)


async def test_a_dry_run_of_a_virtual_kind_changes_nothing(registry: Registry) -> None:
    taken: list[object] = []

    def take(body: Body) -> Body:
        taken.append(body)
        return body

    registry.provide(TRACES, lambda: [{"metadata": {"name": "a"}}])
    registry.take(TRACES, take, taken.append)
    dry = a_context(dry_run=True)
    await create(registry, target(registry, TRACES), {"metadata": {"name": "b"}}, dry)
    await delete(registry, target(registry, TRACES, name="a", namespace=""), dry)
    assert taken == []


def test_an_unknown_resource_takes_no_provider(registry: Registry) -> None:
    with pytest.raises(NotFound):
        registry.provide("widgets", list)


def test_generated_names_differ_and_spell_nothing(registry: Registry) -> None:
    names = {registry.generated_name("pod-") for _ in range(100)}
    assert len(names) == 100
    assert not set("".join(name.removeprefix("pod-") for name in names)) & set("aeiou013")
