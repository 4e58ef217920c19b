from __future__ import annotations

import pytest

from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import AlreadyExists, BadRequest, Invalid, MethodNotAllowed, NotFound
from tests.support.registries import START, a_configmap, a_context, a_deployment, a_pod, target


async def test_a_created_object_carries_what_the_server_sets(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    metadata = stored["metadata"]
    assert (metadata["creationTimestamp"], metadata["namespace"]) == (START, "default")
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) > 0
    assert (stored["apiVersion"], stored["kind"]) == ("v1", "ConfigMap")


async def test_a_client_cannot_choose_what_the_server_sets(client: LocalClient) -> None:
    body = a_deployment()
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 9}
    body["status"] = {"replicas": 5}
    stored = await client.create("deployments.apps", body)
    assert stored["metadata"]["uid"] != "mine"
    assert stored["metadata"]["creationTimestamp"] == START
    assert stored["metadata"]["generation"] == 1
    assert stored["status"] == {}


async def test_the_body_given_in_process_stays_the_callers(client: LocalClient) -> None:
    body = a_configmap()
    await client.create("configmaps", body)
    assert body == a_configmap()


async def test_a_taken_name_is_refused(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    with pytest.raises(AlreadyExists, match='configmaps "settings" already exists') as caught:
        await client.create("configmaps", a_configmap())
    assert caught.value.details == {"name": "settings", "kind": "configmaps"}


async def test_a_generated_name_that_is_taken_is_drawn_again(registry: Registry, client: LocalClient) -> None:
    body = {"metadata": {"generateName": "job-", "namespace": "default"}}
    first = await client.create("configmaps", body)
    name = first["metadata"]["name"]
    assert name.startswith("job-")
    assert len(name) == len("job-") + 5
    registry.rng.seed(1)
    second = await client.create("configmaps", body)
    assert second["metadata"]["name"] != name
    assert second["metadata"]["name"].startswith("job-")


async def test_a_long_prefix_leaves_room_for_the_suffix(client: LocalClient) -> None:
    stored = await client.create("configmaps", {"metadata": {"generateName": "x" * 80, "namespace": "default"}})
    assert len(stored["metadata"]["name"]) == 63


async def test_an_object_without_a_name_is_refused(client: LocalClient) -> None:
    with pytest.raises(Invalid, match="name or generateName is required"):
        await client.create("configmaps", {"metadata": {"namespace": "default"}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Secret"}, "the body is a Secret"),
        ({"apiVersion": "v2"}, "of v2"),
        ({"metadata": {"name": "a", "namespace": "other"}}, "does not match the namespace sent on the request"),
        ({"metadata": {"name": "a", "resourceVersion": "7"}}, "resourceVersion should not be set"),
        ({"metadata": ["a"]}, "metadata"),
    ],
)
async def test_a_body_that_contradicts_its_path_is_refused(
    registry: Registry, change: dict[str, object], message: str
) -> None:
    body = {**a_configmap(), **change}
    with pytest.raises(BadRequest, match=message):
        await create(registry, target(registry, "configmaps", "default"), body, a_context())
    assert (await registry.store.list("configmaps")).records == []


async def test_a_cluster_scoped_object_takes_no_namespace(registry: Registry) -> None:
    body = {"metadata": {"name": "n", "namespace": "default"}}
    with pytest.raises(BadRequest, match="namespace is not allowed"):
        await create(registry, target(registry, "nodes"), body, a_context())


async def test_a_dry_run_answers_as_if_and_stores_nothing(registry: Registry, client: LocalClient) -> None:
    context = a_context(dry_run=True)
    record = await create(registry, target(registry, "pods", "default"), a_pod(), context)
    assert record.decode()["spec"]["restartPolicy"] == "Always"
    assert "resourceVersion" not in record.decode()["metadata"]
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")
    await client.create("pods", a_pod())
    with pytest.raises(AlreadyExists):
        await create(registry, target(registry, "pods", "default"), a_pod(), context)


async def test_a_node_may_be_created_with_its_status(client: LocalClient) -> None:
    node = {"metadata": {"name": "edge-1"}, "status": {"capacity": {"cpu": "4"}}}
    stored = await client.create("nodes", node)
    assert stored["status"] == {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}


async def test_a_pod_starts_pending_with_its_qos_class(client: LocalClient) -> None:
    stored = await client.create("pods", a_pod() | {"status": {"phase": "Running"}})
    assert stored["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_a_virtual_kind_cannot_be_created(client: LocalClient) -> None:
    with pytest.raises(MethodNotAllowed):
        await client.create("nodelinks.edge.aiokubeedge.io", {"metadata": {"name": "a"}})


async def test_only_heartbeat_leases_may_be_lost(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []
    real = registry.store.create

    async def recording(key, tail, *, uid, volatile=False):  # type: ignore[no-untyped-def]
        seen.append((key.namespace, volatile))
        return await real(key, tail, uid=uid, volatile=volatile)

    monkeypatch.setattr(registry.store, "create", recording)
    client = LocalClient(registry)
    for namespace in ("kube-node-lease", "kube-system"):
        await client.create("leases.coordination.k8s.io", {"metadata": {"name": "a", "namespace": namespace}})
    await client.create("configmaps", {"metadata": {"name": "a", "namespace": "kube-node-lease"}})
    assert seen == [("kube-node-lease", True), ("kube-system", False), ("kube-node-lease", False)]
