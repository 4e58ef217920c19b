from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.deployment.templates import template_hash
from cloudcore.errors import Forbidden
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.controllers import Cloud, cloud, deployment

DEPLOYMENTS = "deployments.apps"
REPLICASETS = "replicasets.apps"

pytestmark = pytest.mark.looptime


async def roll_out(made: Cloud, *, rounds: int = 40) -> None:
    """Let controllers and a kubelet that reports at once take turns until nothing moves."""
    for _ in range(rounds):
        await made.settle()
        if not await made.play_kubelet():
            return
    raise AssertionError("the rollout does not end")


async def get(made: Cloud, name: str = "web") -> Body:
    return await made.client.get(DEPLOYMENTS, "default", name)


async def set_image(made: Cloud, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await made.client.patch(DEPLOYMENTS, "default", "web", patch)


async def images(made: Cloud) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in await made.pods())


def condition(body: Body, kind: str) -> dict[str, Any]:
    found = find_condition(body["status"].get("conditions"), kind)
    assert found is not None
    return found


async def test_a_deployment_gets_its_pods_and_reports_them() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment())
        await roll_out(made)
        body = await get(made)
        status = body["status"]
        assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
        assert status["observedGeneration"] == body["metadata"]["generation"]
        assert "unavailableReplicas" not in status
        assert body["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        assert condition(body, "Available")["reason"] == "MinimumReplicasAvailable"
        assert condition(body, "Progressing")["reason"] == "NewReplicaSetAvailable"
        [replicaset] = await made.client.list(REPLICASETS, "default")
        assert all(
            pod["metadata"]["name"].startswith(f"{replicaset['metadata']['name']}-") for pod in await made.pods()
        )


async def test_a_new_template_rolls_and_undo_rolls_back_with_a_new_revision() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment())
        await roll_out(made)
        await set_image(made, "nginx:2")
        await roll_out(made)
        assert await images(made) == ["nginx:2"] * 3
        await set_image(made, "nginx:1")
        await roll_out(made)
        assert await images(made) == ["nginx:1"] * 3
        sets = await made.client.list(REPLICASETS, "default")
        revisions = {
            entry["spec"]["template"]["spec"]["containers"][0]["image"]: entry["metadata"]["annotations"]
            for entry in sets
        }
        assert len(sets) == 2
        assert revisions["nginx:1"]["deployment.kubernetes.io/revision"] == "3"
        assert revisions["nginx:1"]["deployment.kubernetes.io/revision-history"] == "1"
        assert (await get(made))["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_old_replicasets_beyond_the_history_limit_are_deleted() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment(revisionHistoryLimit=1))
        for number in range(1, 5):
            await set_image(made, f"nginx:{number}")
            await roll_out(made)
        sets = await made.client.list(REPLICASETS, "default")
        revisions = sorted(entry["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for entry in sets)
        assert revisions == ["3", "4"]


async def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment())
        await roll_out(made)
        await made.client.patch(DEPLOYMENTS, "default", "web", {"spec": {"paused": True}})
        await set_image(made, "nginx:2")
        await made.client.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 5}})
        await roll_out(made)
        assert await images(made) == ["nginx:1"] * 5
        assert condition(await get(made), "Progressing")["reason"] == "DeploymentPaused"
        await made.client.patch(DEPLOYMENTS, "default", "web", {"spec": {"paused": False}})
        await roll_out(made)
        assert await images(made) == ["nginx:2"] * 5
        assert condition(await get(made), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_recreate_waits_for_the_last_old_pod() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))
        await roll_out(made)
        for pod in await made.pods():
            await made.client.bind("default", pod["metadata"]["name"], "far", uid=pod["metadata"]["uid"])
        await set_image(made, "nginx:2")
        await made.settle()
        assert await images(made) == ["nginx:1"] * 3
        for pod in await made.pods():
            assert pod["metadata"]["deletionTimestamp"]
            await made.client.delete("pods", "default", pod["metadata"]["name"], grace_s=0)
        await roll_out(made)
        assert await images(made) == ["nginx:2"] * 3


async def test_a_rollout_that_does_not_move_passes_its_deadline() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=30))
        await made.settle()
        await made.play_kubelet(ready=False)
        await made.pass_time(25)
        assert condition(await get(made), "Progressing")["status"] == "True"
        await made.pass_time(10)
        assert condition(await get(made), "Progressing")["reason"] == "ProgressDeadlineExceeded"
        assert condition(await get(made), "Available")["status"] == "False"
        await roll_out(made)
        assert condition(await get(made), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_pods_count_as_available_after_min_ready_seconds() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment(minReadySeconds=20))
        await roll_out(made)
        await made.pass_time(10)
        assert (await get(made))["status"].get("availableReplicas", 0) == 0
        await made.pass_time(15)
        assert (await get(made))["status"]["availableReplicas"] == 3


async def test_a_rollout_that_is_scaled_stays_proportional() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment(replicas=10))
        await roll_out(made)
        await set_image(made, "broken")
        await made.settle()
        await made.client.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 15}})
        await made.settle()
        sizes = {
            entry["spec"]["template"]["spec"]["containers"][0]["image"]: entry["spec"]["replicas"]
            for entry in await made.client.list(REPLICASETS, "default")
        }
        assert sum(sizes.values()) == 19
        assert sizes["broken"] > 5
        assert sizes["nginx:1"] > 8


async def test_a_deleted_deployment_takes_everything_with_it() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment())
        await roll_out(made)
        await made.client.delete(DEPLOYMENTS, "default", "web")
        await made.settle()
        assert await made.client.list(REPLICASETS, "default") == []
        assert await made.pods() == []


async def test_a_replicaset_of_another_that_has_the_name_gets_out_of_the_way_by_another_hash() -> None:
    async with cloud() as made:
        body = deployment()
        name = f"web-{template_hash((await defaulted(made, body))['spec']['template'], 0)}"
        squatter = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "other"}},
                "template": {"metadata": {"labels": {"app": "other"}}, "spec": body["spec"]["template"]["spec"]},
            },
        }
        await made.client.create(REPLICASETS, squatter)
        await made.client.create(DEPLOYMENTS, body)
        await roll_out(made)
        assert (await get(made))["status"]["collisionCount"] == 1
        assert (await get(made))["status"]["availableReplicas"] == 3


async def defaulted(made: Cloud, body: Body) -> Body:
    """Return ``body`` as the API stores it."""
    made_once = await made.client.create(DEPLOYMENTS, {**body, "spec": {**body["spec"], "paused": True}})
    await made.client.delete(DEPLOYMENTS, "default", body["metadata"]["name"])
    await made.settle()
    return made_once


async def test_a_replicaset_that_cannot_be_created_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as made:
        create, refusing = made.client.create, [True]

        async def refuse(resource: str, body: Body) -> Body:
            if resource == REPLICASETS and refusing[0]:
                raise Forbidden("no quota")
            return await create(resource, body)

        monkeypatch.setattr(made.client, "create", refuse)
        await made.client.create(DEPLOYMENTS, deployment())
        await made.pass_time(1)
        assert condition(await get(made), "Progressing")["reason"] == "ReplicaSetCreateError"
        refusing[0] = False
        await made.pass_time(5)
        await roll_out(made)
        assert condition(await get(made), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_size_of_zero_and_back() -> None:
    async with cloud() as made:
        await made.client.create(DEPLOYMENTS, deployment())
        await roll_out(made)
        for size in (0, 2):
            await made.client.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": size}})
            await roll_out(made)
            assert len(await made.pods()) == size
            assert (await get(made))["status"].get("availableReplicas", 0) == size
        assert len(await made.client.list(REPLICASETS, "default")) == 1
