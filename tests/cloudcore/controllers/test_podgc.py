from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.manager import ControllerSettings
from cloudcore.controllers.podgc import plan_orphans, plan_terminated
from protocol.objects.keys import Body
from tests.support.controllers import Cloud, cloud


def pod(name: str, created: str = "", **metadata: Any) -> Body:
    return {"metadata": {"name": name, "creationTimestamp": created, **metadata}}


def test_the_oldest_finished_pods_beyond_the_bound_go_those_of_nobody_first() -> None:
    owner = [{"uid": "o", "controller": True}]
    pods = [pod("owned", "1", ownerReferences=owner), pod("young", "3"), pod("old", "2")]
    assert [entry["metadata"]["name"] for entry in plan_terminated(pods, 1)] == ["old", "young"]
    assert plan_terminated(pods, 3) == []


def test_pods_of_a_node_that_exists_stay() -> None:
    assert plan_orphans(True, [pod("a")]) == []
    assert plan_orphans(False, [pod("a")]) == [pod("a")]


async def create(made: Cloud, name: str, node: str = "") -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
    metadata = {"name": name, "namespace": "default"}
    await made.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


async def names(made: Cloud) -> set[str]:
    return {entry["metadata"]["name"] for entry in await made.pods()}


@pytest.mark.looptime
async def test_pods_of_a_deleted_node_go_after_a_quarantine() -> None:
    async with cloud() as made:
        await made.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        await create(made, "a", "n")
        await create(made, "free")
        await made.client.delete("nodes", "", "n")
        await made.pass_time(30)
        assert await names(made) == {"a", "free"}
        await made.pass_time(15)
        assert await names(made) == {"free"}


@pytest.mark.looptime
async def test_a_node_that_is_made_again_in_time_keeps_its_pods() -> None:
    async with cloud() as made:
        await create(made, "a", "n")
        await made.pass_time(30)
        await made.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        await made.pass_time(30)
        await made.client.delete("nodes", "", "n")
        await made.pass_time(30)
        assert await names(made) == {"a"}


@pytest.mark.looptime
async def test_finished_pods_stay_under_the_bound() -> None:
    async with cloud(ControllerSettings(terminated_pods=2)) as made:
        for name in "abcd":
            await create(made, name)
            patch = {"status": {"phase": "Succeeded"}}
            await made.client.patch("pods", "default", name, patch, subresource="status")
            await made.pass_time(2)
        assert await names(made) == {"c", "d"}
