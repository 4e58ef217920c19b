from __future__ import annotations

import asyncio

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import put, update
from cloudcore.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound, RequestEntityTooLarge
from protocol.objects.keys import Body
from tests.support.registries import a_configmap, a_context, a_deployment, a_namespace, a_pod, a_service, target


async def test_an_update_replaces_what_it_was_made_from(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    stored["data"] = {"colour": "red"}
    updated = await client.update("configmaps", stored)
    assert updated["data"] == {"colour": "red"}
    assert int(updated["metadata"]["resourceVersion"]) > int(stored["metadata"]["resourceVersion"])


async def test_an_update_of_an_older_revision_is_a_conflict(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    await client.update("configmaps", {**stored, "data": {"colour": "red"}})
    with pytest.raises(Conflict, match="the object has been modified; please apply your changes to the latest"):
        await client.update("configmaps", {**stored, "data": {"colour": "green"}})
    assert (await client.get("configmaps", "default", "settings"))["data"] == {"colour": "red"}


async def test_an_update_without_a_revision_is_unconditional(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    updated = await client.update("configmaps", a_configmap(colour="red"))
    assert updated["data"] == {"colour": "red"}
    assert updated["metadata"]["uid"]


async def test_unconditional_updates_that_race_all_succeed(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    writes = [client.update("configmaps", a_configmap(colour=str(n))) for n in range(8)]
    results = await asyncio.gather(*writes)
    assert len({result["metadata"]["resourceVersion"] for result in results}) == 8


async def test_an_update_that_changes_nothing_writes_nothing(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    assert await client.update("configmaps", a_configmap()) == stored


async def test_another_uid_is_a_conflict(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    body = a_configmap()
    body["metadata"]["uid"] = "other"
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: other"):
        await client.update("configmaps", body)


async def test_what_is_not_there_cannot_be_updated(client: LocalClient) -> None:
    with pytest.raises(NotFound, match=r'deployments\.apps "web" not found') as caught:
        await client.update("deployments.apps", a_deployment())
    assert caught.value.details == {"name": "web", "kind": "deployments", "group": "apps"}


async def test_the_name_in_the_path_holds(registry: Registry, client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await update(registry, target(registry, "configmaps", "default", "settings"), a_configmap("x"), a_context())


async def test_generation_counts_changes_of_the_spec_alone(client: LocalClient) -> None:
    stored = await client.create("deployments.apps", a_deployment())
    stored["metadata"]["labels"] = {"team": "a"}
    labelled = await client.update("deployments.apps", stored)
    assert labelled["metadata"]["generation"] == 1
    labelled["spec"]["replicas"] = 3
    scaled = await client.update("deployments.apps", labelled)
    assert scaled["metadata"]["generation"] == 2


async def test_the_status_is_not_written_with_the_object(client: LocalClient) -> None:
    stored = await client.create("pods", a_pod())
    stored["status"] = {"phase": "Running"}
    stored["metadata"]["labels"] = {"app": "web", "tier": "front"}
    updated = await client.update("pods", stored)
    assert updated["status"]["phase"] == "Pending"
    assert updated["metadata"]["labels"]["tier"] == "front"


async def test_a_status_update_changes_the_status_alone(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("pods", a_pod())
    stored["status"] = {"phase": "Running"}
    stored["metadata"]["labels"] = {"app": "other"}
    updated = await client.update("pods", stored, subresource="status")
    assert updated["status"] == {"phase": "Running"}
    assert updated["metadata"]["labels"] == {"app": "web"}
    record = await registry.store.get(target(registry, "pods", "default", "web").key)
    assert record.content_revision < record.revision


async def test_a_namespaces_finalizers_change_only_through_finalize(client: LocalClient) -> None:
    stored = await client.create("namespaces", a_namespace())
    stored["spec"] = {"finalizers": []}
    assert (await client.update("namespaces", stored))["spec"] == {"finalizers": ["kubernetes"]}
    finalized = await client.update("namespaces", stored, subresource="finalize")
    assert finalized["spec"] == {"finalizers": []}


async def test_a_kind_without_a_status_has_no_such_subresource(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    with pytest.raises(NotFound):
        await client.update("configmaps", stored, subresource="status")


async def test_a_wrong_update_stores_nothing(client: LocalClient) -> None:
    stored = await client.create("deployments.apps", a_deployment())
    with pytest.raises(Invalid, match=r"spec\.replicas: Invalid value: -1"):
        await client.update("deployments.apps", {**stored, "spec": {**stored["spec"], "replicas": -1}})
    assert await client.get("deployments.apps", "default", "web") == stored


async def test_an_object_does_not_grow_without_bound_write_by_write(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    grown = {f"example.com/{n}": "x" * 60_000 for n in range(4)}
    await client.patch("configmaps", "default", "settings", {"metadata": {"annotations": grown}})
    finalizers = [f"example.com/{n:04}{'x' * 50}" for n in range(30_000)]
    with pytest.raises(RequestEntityTooLarge, match="limit"):
        await client.patch("configmaps", "default", "settings", {"metadata": {"finalizers": finalizers}})


LEASES = "leases.coordination.k8s.io"


def a_lease(holder: str = "me", **metadata: str) -> Body:
    return {"metadata": {"name": "leader", **metadata}, "spec": {"holderIdentity": holder}}


async def test_a_put_creates_a_lease_and_then_replaces_it(registry: Registry) -> None:
    lease = target(registry, LEASES, "default", "leader")
    record, created = await put(registry, lease, a_lease(resourceVersion="5"), a_context())
    assert created
    assert record.decode()["spec"] == {"holderIdentity": "me"}
    record, created = await put(registry, lease, a_lease("you"), a_context())
    assert not created
    assert record.decode()["spec"] == {"holderIdentity": "you"}


async def test_a_put_of_another_kind_creates_nothing(registry: Registry) -> None:
    for wanted in (target(registry, "configmaps", "default", "settings"), target(registry, "pods", "default", "web")):
        body = a_configmap() if wanted.kind.kind == "ConfigMap" else a_pod()
        with pytest.raises(NotFound):
            await put(registry, wanted, body, a_context())
    with pytest.raises(NotFound):
        await put(registry, target(registry, "services", "default", "web", "status"), a_service(), a_context())


async def test_a_put_makes_no_other_object_in_the_place_of_one_that_is_gone(
    registry: Registry, client: LocalClient
) -> None:
    stored = await client.create(LEASES, a_lease(namespace="default"))
    await client.delete(LEASES, "default", "leader")
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: "):
        await put(registry, target(registry, LEASES, "default", "leader"), stored, a_context())
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await put(registry, target(registry, LEASES, "default", "other"), a_lease(), a_context())
    assert not await client.list(LEASES, "default")


async def test_whoever_puts_a_new_object_needs_the_right_to_create_it(registry: Registry) -> None:
    def refuse(verb: str) -> None:
        raise Forbidden(f"may not {verb}")

    lease = target(registry, LEASES, "default", "leader")
    with pytest.raises(Forbidden, match="may not create"):
        await put(registry, lease, a_lease(), a_context(require=refuse))
    await put(registry, lease, a_lease(), a_context())
    _, created = await put(registry, lease, a_lease("you"), a_context(require=refuse))
    assert not created


async def test_a_dry_put_creates_nothing(registry: Registry) -> None:
    lease = target(registry, LEASES, "default", "leader")
    for _ in range(2):
        _, created = await put(registry, lease, a_lease(), a_context(dry_run=True))
        assert created
