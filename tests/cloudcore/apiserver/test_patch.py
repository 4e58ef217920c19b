from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import BadRequest, Conflict, Invalid, NotFound
from tests.support.registries import a_configmap, a_deployment, a_pod

DEPLOYMENTS = "deployments.apps"


async def test_a_merge_patch_changes_what_it_names(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap(colour="blue", size="1"))
    patched = await client.patch("configmaps", "default", "settings", {"data": {"colour": "red", "size": None}})
    assert patched["data"] == {"colour": "red"}


async def test_a_strategic_patch_merges_containers_by_name(client: LocalClient) -> None:
    await client.create(DEPLOYMENTS, a_deployment())
    containers = [{"name": "app", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "busybox:1"}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    patched = await client.patch(DEPLOYMENTS, "default", "web", change, kind="strategic")
    names = {each["name"]: each["image"] for each in patched["spec"]["template"]["spec"]["containers"]}
    assert names == {"app": "nginx:alpine", "side": "busybox:1"}
    assert patched["metadata"]["generation"] == 2


async def test_a_json_patch_applies_all_or_nothing(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    good: list[dict[str, Any]] = [{"op": "replace", "path": "/data/colour", "value": "red"}]
    bad = [*good, {"op": "test", "path": "/data/colour", "value": "green"}]
    with pytest.raises(Invalid):
        await client.patch("configmaps", "default", "settings", bad, kind="json")
    patched = await client.patch("configmaps", "default", "settings", good, kind="json")
    assert patched["data"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("patch", "kind"),
    [([], "merge"), ({"op": "add"}, "json"), ([{"op": "fly", "path": "/a"}], "json"), ({"$patch": "x"}, "strategic")],
)
async def test_a_malformed_patch_is_a_bad_request(client: LocalClient, patch: Any, kind: Any) -> None:
    await client.create("configmaps", a_configmap())
    with pytest.raises(BadRequest):
        await client.patch("configmaps", "default", "settings", patch, kind=kind)


async def test_a_patch_may_name_the_revision_it_is_made_from(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    revision = stored["metadata"]["resourceVersion"]
    change = {"metadata": {"resourceVersion": revision}, "data": {"colour": "red"}}
    await client.patch("configmaps", "default", "settings", change)
    with pytest.raises(Conflict):
        await client.patch("configmaps", "default", "settings", change)


async def test_a_patch_may_name_the_uid_it_is_for(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    change = {"metadata": {"uid": "gone"}, "data": {"colour": "red"}}
    with pytest.raises(Conflict, match="UID in precondition: gone"):
        await client.patch("configmaps", "default", "settings", change)


async def test_patches_that_race_all_apply(client: LocalClient) -> None:
    await client.create("configmaps", a_configmap())
    changes = [{"data": {f"key-{n}": "x"}} for n in range(8)]
    await asyncio.gather(*(client.patch("configmaps", "default", "settings", change) for change in changes))
    stored = await client.get("configmaps", "default", "settings")
    assert len(stored["data"]) == 9


async def test_a_status_patch_keeps_everything_else(client: LocalClient) -> None:
    await client.create("pods", a_pod())
    change = {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}
    patched = await client.patch("pods", "default", "web", change, subresource="status")
    assert patched["metadata"]["labels"] == {"app": "web"}
    assert patched["status"] == {"phase": "Running", "podIP": "10.0.0.1", "qosClass": "BestEffort"}


async def test_a_strategic_status_patch_merges_conditions_by_type(client: LocalClient) -> None:
    await client.create("pods", a_pod())
    for kind in ("Ready", "Initialized", "Ready"):
        change = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
        await client.patch("pods", "default", "web", change, kind="strategic", subresource="status")
    conditions = (await client.get("pods", "default", "web"))["status"]["conditions"]
    assert [each["type"] for each in conditions] == ["Ready", "Initialized"]


async def test_an_unknown_field_in_a_patch_is_dropped(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    patched = await client.patch("configmaps", "default", "settings", {"nonsense": 1})
    assert patched == stored


async def test_what_is_not_there_cannot_be_patched(client: LocalClient) -> None:
    with pytest.raises(NotFound):
        await client.patch("configmaps", "default", "settings", {"data": {"a": "b"}})


@pytest.mark.parametrize("metadata", ["x", 1, [], True])
@pytest.mark.parametrize("subresource", ["", "status"])
async def test_a_patch_cannot_put_something_else_in_the_metadatas_place(
    client: LocalClient, metadata: object, subresource: str
) -> None:
    stored = await client.create("pods", a_pod())
    with pytest.raises(BadRequest):
        await client.patch("pods", "default", "web", {"metadata": metadata}, subresource=subresource)
    assert await client.get("pods", "default", "web") == stored
