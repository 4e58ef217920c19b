from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.namespace import conditions, plan
from cloudcore.errors import Forbidden, NotFound
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.controllers import Cloud, cloud, deployment


def thing(name: str, **metadata: Any) -> Body:
    return {"metadata": {"name": name, **metadata}}


def test_pods_go_first_and_what_is_going_already_is_left_alone() -> None:
    content = {"pods": [thing("a"), thing("b", deletionTimestamp="t")], "configmaps": [thing("c")]}
    decided = plan(content)
    assert (decided.delete, decided.finalize) == ({"pods": [thing("a")]}, False)
    held = plan({"pods": [thing("b", deletionTimestamp="t")], "configmaps": [thing("c")]})
    assert (held.delete, held.finalize) == ({}, False)
    assert plan({"pods": [], "configmaps": [thing("c")]}).delete == {"configmaps": [thing("c")]}
    assert plan({"pods": [], "configmaps": []}).finalize


def test_the_conditions_say_what_is_left_and_what_holds_it() -> None:
    content = {"configmaps": [thing("a", finalizers=["x"]), thing("b")], "pods": []}
    listed = conditions(None, content, "", "2026-01-01T00:00:00Z")
    left, held = (
        find_condition(listed, "NamespaceContentRemaining"),
        find_condition(listed, "NamespaceFinalizersRemaining"),
    )
    assert left is not None
    assert held is not None
    assert "configmaps has 2 resource instances" in left["message"]
    assert "x in 1 resource instances" in held["message"]
    done = find_condition(conditions(listed, {}, "", "2026-01-01T00:00:01Z"), "NamespaceContentRemaining")
    assert done is not None
    assert (done["status"], done["lastTransitionTime"]) == ("False", "2026-01-01T00:00:01Z")


async def make(made: Cloud) -> None:
    await made.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    body = deployment()
    body["metadata"]["namespace"] = "shop"
    await made.client.create("deployments.apps", body)
    await made.settle()


@pytest.mark.looptime
async def test_a_namespace_has_its_default_account_and_gets_it_back() -> None:
    async with cloud() as made:
        await make(made)
        first = await made.client.get("serviceaccounts", "shop", "default")
        await made.client.delete("serviceaccounts", "shop", "default")
        await made.settle()
        again = await made.client.get("serviceaccounts", "shop", "default")
        assert again["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.looptime
async def test_a_deleted_namespace_goes_with_all_its_content() -> None:
    async with cloud() as made:
        await make(made)
        assert len(await made.pods("shop")) == 3
        await made.client.delete("namespaces", "", "shop")
        await made.pass_time(20)
        with pytest.raises(NotFound):
            await made.client.get("namespaces", "", "shop")
        for resource in ("pods", "deployments.apps", "replicasets.apps", "serviceaccounts", "events"):
            assert await made.client.list(resource, "shop") == []


@pytest.mark.looptime
async def test_a_pod_on_a_node_that_is_away_holds_the_namespace_visibly() -> None:
    async with cloud() as made:
        await make(made)
        pod = (await made.pods("shop"))[0]["metadata"]
        await made.client.bind("shop", pod["name"], "far", uid=pod["uid"])
        await made.client.delete("namespaces", "", "shop")
        await made.pass_time(30)
        namespace = await made.client.get("namespaces", "", "shop")
        left = find_condition(namespace["status"]["conditions"], "NamespaceContentRemaining")
        assert left is not None
        assert "pods has 1 resource instances" in left["message"]
        assert namespace["status"]["phase"] == "Terminating"
        assert await made.client.list("deployments.apps", "shop") != []
        with pytest.raises(Forbidden):
            await made.client.create("configmaps", {"metadata": {"name": "new", "namespace": "shop"}})
        await made.client.delete("pods", "shop", pod["name"], grace_s=0)
        await made.pass_time(20)
        with pytest.raises(NotFound):
            await made.client.get("namespaces", "", "shop")
