from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudcore.errors import AlreadyExists, Conflict, Invalid, NotFound
from cloudcore.rest import RestClient
from protocol.objects.keys import Revision, Uid
from tests.support.apiservers import RunningServer, serving
from tests.support.registries import a_configmap, a_pod


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[RestClient]:
    async with RestClient(server.kubeconfig()) as client:
        yield client


async def test_objects_of_any_group_are_written_and_read(client: RestClient) -> None:
    created = await client.create("configmaps", a_configmap())
    assert (created["kind"], created["apiVersion"]) == ("ConfigMap", "v1")
    with pytest.raises(AlreadyExists):
        await client.create("configmaps", a_configmap())
    lease = {"metadata": {"name": "l", "namespace": "default"}, "spec": {"holderIdentity": "me"}}
    await client.create("leases.coordination.k8s.io", lease)
    patched = await client.patch("leases.coordination.k8s.io", "default", "l", {"spec": {"holderIdentity": "you"}})
    assert patched["spec"]["holderIdentity"] == "you"
    await client.delete("configmaps", "default", "settings", uid=Uid(created["metadata"]["uid"]))
    with pytest.raises(NotFound):
        await client.get("configmaps", "default", "settings")
    with pytest.raises(NotFound):
        await client.get("nothing.example.com", "default", "x")


async def test_a_list_of_many_comes_page_by_page(client: RestClient, server: RunningServer) -> None:
    for number in range(1_005):
        await server.client.create("configmaps", a_configmap(f"c{number:04d}"))
    listed = await client.list("configmaps", "default")
    assert [body["metadata"]["name"] for body in listed] == [f"c{number:04d}" for number in range(1_005)]
    assert await client.list("configmaps", "default", field_selector="metadata.name=c0007") == [listed[7]]


async def test_a_status_is_replaced_and_nothing_else_with_it(client: RestClient) -> None:
    created = await client.create("pods", a_pod())
    metadata = {key: created["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    report = {"metadata": metadata, "status": {"phase": "Running"}}
    updated = await client.update("pods", report, subresource="status")
    assert updated["status"] == {"phase": "Running"}
    assert updated["metadata"]["labels"] == {"app": "web"}
    assert updated["spec"] == created["spec"]
    with pytest.raises(Conflict):
        await client.update("pods", report, subresource="status")


async def test_preconditions_and_bindings(client: RestClient, server: RunningServer) -> None:
    await server.client.create("nodes", {"metadata": {"name": "n"}})
    pod = await client.create("pods", a_pod())
    await client.bind("default", "web", "n", uid=Uid(pod["metadata"]["uid"]))
    assert (await client.get("pods", "default", "web"))["spec"]["nodeName"] == "n"
    with pytest.raises(Conflict):
        await client.delete("pods", "default", "web", revision=Revision(int(pod["metadata"]["resourceVersion"])))
    await client.delete("pods", "default", "web", grace_s=0)
    with pytest.raises(Invalid):
        await client.create("pods", {"metadata": {"name": "bad", "namespace": "default"}, "spec": {}})
