from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cloudcore.errors import MethodNotAllowed, NotFound
from cloudcore.store.memory import MemoryStore
from protocol.objects.conditions import is_true
from protocol.objects.resources import CONFIG_MAPS, DEFINITIONS, LEASES, NAMESPACES
from tests.support.controllers import Cloud, cloud
from tests.support.definitions import CRONTABS, a_crontab, a_definition, a_version
from tests.support.registries import a_configmap

pytestmark = pytest.mark.looptime


@pytest.fixture
async def running() -> AsyncIterator[Cloud]:
    async with cloud() as made:
        yield made


async def test_a_definition_goes_after_its_objects(running: Cloud) -> None:
    await running.client.create(DEFINITIONS, a_definition())
    held = a_crontab("held", finalizers=["example.com/wait"])
    await running.client.create(CRONTABS, a_crontab())
    await running.client.create(CRONTABS, held)
    await running.client.delete(DEFINITIONS, "", CRONTABS)
    await running.settle()

    definition = await running.client.get(DEFINITIONS, "", CRONTABS)
    assert is_true(definition["status"]["conditions"], "Terminating")
    assert [body["metadata"]["name"] for body in await running.client.list(CRONTABS)] == ["held"]
    with pytest.raises(MethodNotAllowed):
        await running.client.create(CRONTABS, a_crontab("late"))

    await running.client.patch(CRONTABS, "default", "held", {"metadata": {"finalizers": None}})
    await running.pass_time(10)
    with pytest.raises(NotFound):
        await running.client.get(DEFINITIONS, "", CRONTABS)
    with pytest.raises(NotFound):
        await running.client.list(CRONTABS)


async def test_a_built_in_kind_and_its_objects_outlive_a_definition_of_its_name(running: Cloud) -> None:
    lease = {"metadata": {"name": "kept", "namespace": "default"}, "spec": {"holderIdentity": "x"}}
    await running.client.create(LEASES, lease)
    taking = a_definition(names={"plural": "leases", "singular": "lease", "kind": "Lease", "listKind": "LeaseList"})
    taking["metadata"] = {"name": LEASES, "annotations": {"api-approved.kubernetes.io": "unapproved"}}
    taking["spec"]["group"] = "coordination.k8s.io"
    refused = await running.client.create(DEFINITIONS, taking)
    assert not is_true(refused["status"]["conditions"], "Established")
    said = {"status": {"conditions": [{"type": "Established", "status": "True", "reason": "x", "message": ""}]}}
    await running.client.patch(DEFINITIONS, "", LEASES, said, subresource="status")
    await running.client.delete(DEFINITIONS, "", LEASES)
    await running.settle()
    assert await running.client.list(DEFINITIONS) == []
    kept = await running.client.get(LEASES, "default", "kept")
    assert kept["apiVersion"] == "coordination.k8s.io/v1"


async def test_a_deleted_definition_can_be_made_again(running: Cloud) -> None:
    for _ in range(2):
        await running.client.create(DEFINITIONS, a_definition())
        await running.client.create(CRONTABS, a_crontab())
        await running.client.delete(DEFINITIONS, "", CRONTABS)
        await running.settle()
    assert await running.client.list(DEFINITIONS) == []


async def test_names_that_become_free_are_taken(running: Cloud) -> None:
    await running.client.create(DEFINITIONS, a_definition())
    other = a_definition(names={"plural": "clocktowers", "kind": "ClockTower", "shortNames": ["ct"]})
    refused = await running.client.create(DEFINITIONS, other)
    assert not is_true(refused["status"]["conditions"], "Established")
    with pytest.raises(NotFound):
        await running.client.list("clocktowers.stable.example.com")

    await running.client.delete(DEFINITIONS, "", CRONTABS)
    await running.settle()
    accepted = await running.client.get(DEFINITIONS, "", "clocktowers.stable.example.com")
    assert is_true(accepted["status"]["conditions"], "Established")
    assert await running.client.list("clocktowers.stable.example.com") == []


async def test_objects_move_to_the_version_that_is_kept_now(running: Cloud) -> None:
    await running.client.create(DEFINITIONS, a_definition(a_version("v1beta1")))
    await running.client.create(CRONTABS, a_crontab(spec={"a": 1}))
    versions = [a_version("v1beta1", storage=False), a_version("v1")]
    await running.client.patch(DEFINITIONS, "", CRONTABS, {"spec": {"versions": versions}})
    await running.settle()

    moved = await running.client.get(CRONTABS, "default", "mine")
    assert (moved["apiVersion"], moved["spec"], moved["metadata"]["generation"]) == (
        "stable.example.com/v1",
        {"a": 1},
        1,
    )
    definition = await running.client.get(DEFINITIONS, "", CRONTABS)
    assert definition["status"]["storedVersions"] == ["v1"]


async def test_custom_objects_own_and_are_owned(running: Cloud) -> None:
    await running.client.create(DEFINITIONS, a_definition())
    owner = await running.client.create(CRONTABS, a_crontab())
    reference = {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "name": "mine",
        "uid": owner["metadata"]["uid"],
    }
    owned = a_configmap()
    owned["metadata"]["ownerReferences"] = [reference]
    await running.client.create(CONFIG_MAPS, owned)
    await running.client.create(CRONTABS, a_crontab("dependent", ownerReferences=[reference]))
    await running.settle()
    await running.client.delete(CRONTABS, "default", "mine")
    await running.settle()
    assert await running.client.list(CRONTABS) == []
    assert "settings" not in {body["metadata"]["name"] for body in await running.client.list(CONFIG_MAPS, "default")}


async def test_a_namespace_takes_its_custom_objects_along(running: Cloud) -> None:
    await running.client.create(DEFINITIONS, a_definition())
    await running.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    body = a_crontab()
    body["metadata"]["namespace"] = "shop"
    await running.client.create(CRONTABS, body)
    await running.client.delete(NAMESPACES, "", "shop")
    await running.pass_time(5)
    assert await running.client.list(CRONTABS) == []
    assert "shop" not in {each["metadata"]["name"] for each in await running.client.list(NAMESPACES)}


async def test_after_a_restart_custom_kinds_are_served_and_collected() -> None:
    before = MemoryStore()
    async with cloud(store=before) as first:
        await first.client.create(DEFINITIONS, a_definition())
        definitions = (await before.list(DEFINITIONS)).records
    after = MemoryStore()
    for record in definitions:
        await after.create(record.key, record.tail, uid=record.uid)
    async with cloud(store=after) as second:
        await second.client.create(CRONTABS, a_crontab("orphan", ownerReferences=[_gone()]))
        await second.settle()
        assert await second.client.list(CRONTABS) == []


def _gone() -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}
