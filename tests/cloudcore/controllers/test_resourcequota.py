from __future__ import annotations

import pytest

from cloudcore.controllers.resourcequota import counted, plan
from tests.support.controllers import cloud, deployment
from tests.support.registries import a_configmap, a_pod

QUOTAS = "resourcequotas"


def test_which_resources_are_counted() -> None:
    assert counted(["pods", "requests.cpu", "memory"]) == {"pods"}
    assert counted(["count/deployments.apps", "services.nodeports"]) == {"deployments.apps", "services"}
    assert counted(["requests.storage", "fast.storageclass.storage.k8s.io/requests.storage"]) == {
        "persistentvolumeclaims"
    }


def test_pods_that_have_ended_take_nothing_but_a_count() -> None:
    ended = {**a_pod(), "status": {"phase": "Succeeded"}}
    quota = {"spec": {"hard": {"pods": "5", "count/pods": "5"}}}
    status = plan(quota, [("pods", ended), ("pods", a_pod("b"))])
    assert status == {"hard": quota["spec"]["hard"], "used": {"pods": "1", "count/pods": "2"}}


@pytest.mark.looptime
async def test_what_goes_is_given_back() -> None:
    async with cloud() as made:
        for name in ("a", "b"):
            await made.client.create("configmaps", a_configmap(name))
        quota = {"metadata": {"name": "share", "namespace": "default"}, "spec": {"hard": {"configmaps": "3"}}}
        await made.client.create(QUOTAS, quota)
        await made.settle()
        assert (await made.client.get(QUOTAS, "default", "share"))["status"]["used"] == {"configmaps": "2"}
        await made.client.delete("configmaps", "default", "a")
        await made.pass_time(1.0)
        assert (await made.client.get(QUOTAS, "default", "share"))["status"]["used"] == {"configmaps": "1"}


@pytest.mark.looptime
async def test_a_deployment_makes_as_many_pods_as_its_quota_allows() -> None:
    async with cloud() as made:
        quota = {"metadata": {"name": "share", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}}
        await made.client.create(QUOTAS, quota)
        await made.settle()
        await made.client.create("deployments.apps", deployment(replicas=4))
        await made.pass_time(1.0)
        assert len(await made.pods()) == 2
        await made.client.patch(QUOTAS, "default", "share", {"spec": {"hard": {"pods": "4"}}})
        await made.pass_time(120.0)
        assert len(await made.pods()) == 4
