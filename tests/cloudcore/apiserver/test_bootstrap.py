from __future__ import annotations

from cloudcore.apiserver.admission import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry


async def test_the_first_run_makes_what_everything_rests_on(registry: Registry, client: LocalClient) -> None:
    registry.admission = admission_chain()
    await bootstrap(registry)
    namespaces = [body["metadata"]["name"] for body in await client.list("namespaces")]
    assert namespaces == ["default", "kube-node-lease", "kube-public", "kube-system"]
    for name in ("process", "docker"):
        assert (await client.get("runtimeclasses.node.k8s.io", "", name))["handler"] == name
    assert (await client.get("serviceaccounts", "default", "default"))["kind"] == "ServiceAccount"
    critical = await client.get("priorityclasses.scheduling.k8s.io", "", "system-node-critical")
    assert critical["value"] == 2_000_001_000


async def test_later_runs_change_nothing(registry: Registry, client: LocalClient) -> None:
    registry.admission = admission_chain()
    await bootstrap(registry)
    process = await client.get("runtimeclasses.node.k8s.io", "", "process")
    process["metadata"]["labels"] = {"mine": "yes"}
    await client.update("runtimeclasses.node.k8s.io", process)
    revision = registry.store.revision
    await bootstrap(registry)
    assert registry.store.revision == revision


async def test_a_half_finished_first_run_is_completed(registry: Registry, client: LocalClient) -> None:
    await client.create("namespaces", {"metadata": {"name": "default"}})
    await bootstrap(registry)
    assert len(await client.list("namespaces")) == 4
