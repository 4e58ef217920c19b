from __future__ import annotations

import contextlib
from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import BadRequest, Invalid
from protocol.objects.keys import Body
from tests.support.registries import a_context, a_pod, target


async def _changed(registry: Registry, client: LocalClient, subresource: str, **spec: Any) -> Body:
    pod = await client.get("pods", "default", "web")
    body = {**pod, "spec": {**pod["spec"], **spec}}
    return (await update(registry, target(registry, "pods", "default", "web", subresource), body, a_context())).decode()


DEBUGGER = {"name": "debugger", "image": "busybox"}


async def test_ephemeral_containers_are_added_and_nothing_else_changes(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod())
    pod = await _changed(registry, client, "ephemeralcontainers", ephemeralContainers=[DEBUGGER], nodeName="other")
    (added,) = pod["spec"]["ephemeralContainers"]
    assert (added["name"], added["terminationMessagePolicy"]) == ("debugger", "File")
    assert "nodeName" not in pod["spec"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ([], "existing ephemeral containers may not be removed"),
        ([{**DEBUGGER, "image": "other"}], "existing ephemeral containers may not be changed"),
        ([DEBUGGER, {"name": "app", "image": "x"}], "Duplicate value"),
        ([DEBUGGER, {"name": "b", "image": "x", "ports": [{"containerPort": 1}]}], "cannot be set for an Ephemeral"),
        ([DEBUGGER, {"name": "b"}], "Required value"),
        ([DEBUGGER, {"image": "b"}], "name: Required value"),
    ],
)
async def test_what_an_ephemeral_container_may_not_be(
    registry: Registry, client: LocalClient, wanted: list[Body], why: str
) -> None:
    await client.create("pods", a_pod())
    await _changed(registry, client, "ephemeralcontainers", ephemeralContainers=[DEBUGGER])
    with pytest.raises(Invalid, match=why):
        await _changed(registry, client, "ephemeralcontainers", ephemeralContainers=wanted)


async def test_a_resize_changes_the_resources_and_nothing_else(registry: Registry, client: LocalClient) -> None:
    container = {"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "1"}}}
    await client.create("pods", a_pod(containers=[container]))
    wanted = {**container, "image": "other", "resources": {"requests": {"cpu": "2"}}}
    pod = await _changed(registry, client, "resize", containers=[wanted])
    (resized,) = pod["spec"]["containers"]
    assert (resized["image"], resized["resources"]) == ("nginx", {"requests": {"cpu": "2"}})
    assert pod["metadata"]["generation"] == 2


async def test_a_resize_keeps_the_quality_of_service(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod())
    wanted = {"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "2"}}}
    with pytest.raises(Invalid, match="Pod QOS Class may not change"):
        await _changed(registry, client, "resize", containers=[wanted])


@pytest.mark.parametrize("containers", [7, ["x"], [{"name": 5}], None])
@pytest.mark.parametrize("subresource", ["resize", "ephemeralcontainers"])
async def test_nonsense_changes_nothing(
    registry: Registry, client: LocalClient, subresource: str, containers: object
) -> None:
    before = await client.create("pods", a_pod())
    with contextlib.suppress(BadRequest, Invalid):
        await _changed(registry, client, subresource, containers=containers, ephemeralContainers=containers)
    assert await client.get("pods", "default", "web") == before
