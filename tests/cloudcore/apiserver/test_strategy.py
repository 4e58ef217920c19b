from __future__ import annotations

from cloudcore.apiserver.local import LocalClient
from tests.support.registries import a_namespace, a_service


async def test_a_service_keeps_its_address_when_the_client_leaves_it_out(client: LocalClient) -> None:
    stored = await client.create("services", a_service(clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"]))
    assert stored["status"] == {"loadBalancer": {}}
    updated = await client.update("services", a_service(selector={"app": "other"}))
    assert updated["spec"]["clusterIP"] == "10.96.0.9"
    named = await client.update("services", a_service(type="ExternalName", externalName="a.b"))
    assert "clusterIP" not in named["spec"]


async def test_a_secret_keeps_its_type_and_folds_plain_data(client: LocalClient) -> None:
    secret = {"metadata": {"name": "s", "namespace": "default"}, "type": "example.com/a", "stringData": {"a": "x"}}
    await client.create("secrets", secret)
    del secret["type"]
    updated = await client.update("secrets", secret | {"stringData": {"a": "y"}})
    assert (updated["type"], updated["data"]) == ("example.com/a", {"a": "eQ=="})


async def test_a_namespace_starts_active_and_held(client: LocalClient) -> None:
    stored = await client.create("namespaces", a_namespace() | {"spec": {"finalizers": []}})
    assert stored["spec"] == {"finalizers": ["kubernetes"]}
    assert stored["status"] == {"phase": "Active"}
    assert stored["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}


async def test_a_node_is_not_given_a_status_with_an_update(client: LocalClient) -> None:
    await client.create("nodes", {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1"}}})
    updated = await client.update("nodes", {"metadata": {"name": "n"}, "spec": {"unschedulable": True}})
    assert updated["status"]["capacity"] == {"cpu": "1"}
    assert updated["spec"] == {"unschedulable": True}


async def test_managed_fields_are_not_kept(client: LocalClient) -> None:
    body = a_namespace()
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    assert "managedFields" not in (await client.create("namespaces", body))["metadata"]
    assert "managedFields" not in (await client.update("namespaces", body))["metadata"]
