from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.garbage import Delete, KeepOwners, Owned, OwnerState, blocking, plan
from cloudcore.errors import NotFound
from protocol.objects.keys import Body
from tests.support.controllers import Cloud, cloud, deployment

SOLID, WAITING, ABSENT = OwnerState.SOLID, OwnerState.WAITING, OwnerState.ABSENT


def owned(*states: OwnerState, dependents: bool = False, **metadata: Any) -> Owned:
    references = [{"uid": str(number)} for number, _ in enumerate(states)]
    return Owned({"metadata": {"ownerReferences": references, **metadata}}, states, dependents)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (owned(SOLID), None),
        (owned(), None),
        (owned(ABSENT), Delete("Background")),
        (owned(ABSENT, SOLID), KeepOwners([{"uid": "1"}])),
        (owned(WAITING, SOLID), KeepOwners([{"uid": "1"}])),
        (owned(WAITING), Delete("Background")),
        (owned(WAITING, dependents=True), Delete("Foreground")),
        (owned(ABSENT, dependents=True), Delete("Background")),
        (owned(ABSENT, finalizers=["orphan"]), Delete("Orphan")),
        (owned(ABSENT, finalizers=["foregroundDeletion"]), Delete("Foreground")),
        (owned(ABSENT, deletionTimestamp="t"), None),
    ],
)
def test_what_becomes_of_an_object_follows_from_its_owners(case: Owned, expected: object) -> None:
    assert plan(case) == expected


def test_only_dependents_that_say_so_block_their_owner() -> None:
    owner = {"metadata": {"uid": "o"}}
    blocks = {"metadata": {"ownerReferences": [{"uid": "o", "blockOwnerDeletion": True}]}}
    lets = {"metadata": {"ownerReferences": [{"uid": "o"}, {"uid": "x", "blockOwnerDeletion": True}]}}
    assert blocking(owner, [blocks, lets]) == [blocks]


async def config(made: Cloud, name: str, *owners: Body, **extra: Any) -> Body:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **extra,
        }
        for owner in owners
    ]
    metadata = {"name": name, "namespace": "default", "ownerReferences": references}
    return await made.client.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


async def names(made: Cloud) -> set[str]:
    return {body["metadata"]["name"] for body in await made.client.list("configmaps", "default")}


pytestmark = pytest.mark.looptime


async def test_dependents_go_with_their_last_owner() -> None:
    async with cloud() as made:
        one, two = await config(made, "one"), await config(made, "two")
        await config(made, "child", one, two)
        await made.settle()
        await made.client.delete("configmaps", "default", "one")
        await made.settle()
        child = await made.client.get("configmaps", "default", "child")
        assert [entry["name"] for entry in child["metadata"]["ownerReferences"]] == ["two"]
        await config(made, "grandchild", child)
        await made.client.delete("configmaps", "default", "two")
        await made.settle()
        assert await names(made) == set()


async def test_an_owner_of_the_same_name_but_another_uid_does_not_count() -> None:
    async with cloud() as made:
        first = await config(made, "owner")
        await made.client.delete("configmaps", "default", "owner")
        await config(made, "owner")
        await config(made, "child", first)
        await made.settle()
        assert await names(made) == {"owner"}


async def test_an_owner_of_an_unknown_kind_is_taken_to_exist() -> None:
    async with cloud() as made:
        stranger = {"apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": {"name": "t", "uid": "u"}}
        await config(made, "child", stranger)
        await made.settle()
        assert await names(made) == {"child"}


async def test_that_an_owner_is_absent_is_believed_only_after_a_live_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as made:
        owner = await config(made, "owner")
        await made.settle()
        get, asked = made.client.get, []

        async def counted(resource: str, namespace: str, name: str) -> Body:
            asked.append(name)
            return await get(resource, namespace, name)

        monkeypatch.setattr(made.client, "get", counted)
        cache = made.informers.for_resource("configmaps").cache
        del cache._objects[next(key for key in cache.keys() if key.name == "owner")]  # a cache that lags
        await config(made, "child", owner)
        await made.settle()
        assert await names(made) == {"owner", "child"}
        assert asked == ["owner"]


async def test_foreground_deletion_waits_for_blocking_dependents() -> None:
    async with cloud() as made:
        owner = await config(made, "owner")
        child = await config(made, "child", owner, blockOwnerDeletion=True)
        patch = {"metadata": {"finalizers": ["example.com/hold"]}}
        await made.client.patch("configmaps", "default", "child", patch)
        await made.client.delete("configmaps", "default", "owner", propagation="Foreground")
        await made.settle()
        assert await names(made) == {"owner", "child"}
        assert "deletionTimestamp" in (await made.client.get("configmaps", "default", "child"))["metadata"]
        await made.client.patch("configmaps", "default", "child", {"metadata": {"finalizers": None}})
        await made.settle()
        assert await names(made) == set()
        assert child["metadata"]["uid"]


async def test_a_deployment_deleted_in_the_foreground_takes_pods_and_replicasets_first() -> None:
    async with cloud() as made:
        await made.client.create("deployments.apps", deployment())
        await made.settle()
        await made.client.delete("deployments.apps", "default", "web", propagation="Foreground")
        await made.settle()
        assert await made.pods() == []
        with pytest.raises(NotFound):
            await made.client.get("deployments.apps", "default", "web")


async def test_orphaned_dependents_stay_without_their_owner() -> None:
    async with cloud() as made:
        await made.client.create("deployments.apps", deployment())
        await made.settle()
        await made.client.delete("deployments.apps", "default", "web", propagation="Orphan")
        await made.settle()
        assert await made.client.list("deployments.apps", "default") == []
        [replicaset] = await made.client.list("replicasets.apps", "default")
        assert not replicaset["metadata"].get("ownerReferences")
        assert len(await made.pods()) == 3
        await made.client.create("deployments.apps", deployment())
        await made.settle()
        [adopted] = await made.client.list("replicasets.apps", "default")
        assert adopted["metadata"]["ownerReferences"][0]["name"] == "web"
        assert len(await made.pods()) == 3
