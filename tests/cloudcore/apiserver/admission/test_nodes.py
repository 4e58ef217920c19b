from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.context import Context
from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import Forbidden
from tests.support.registries import target

PINNED = {"edge.aiokubeedge.io/instance-id": "i-1", "edge.aiokubeedge.io/certificate": "ab"}


def a_node(annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": "edge-1", "annotations": dict(annotations or {})}}


@pytest.mark.parametrize("user", ["kubernetes-admin", "system:node:edge-1", "system:serviceaccount:ops:labeller"])
async def test_nobody_pins_or_unpins_a_node_through_the_api(registry: Registry, client: LocalClient, user: str) -> None:
    context, node = Context(user), target(registry, "nodes", name="edge-1")
    with pytest.raises(Forbidden, match="is set when a node joins"):
        await create(registry, target(registry, "nodes"), a_node(PINNED), context)
    await client.create("nodes", a_node(PINNED))
    changed = {**PINNED, "edge.aiokubeedge.io/certificate": "cd"}
    with pytest.raises(Forbidden):
        await update(registry, node, a_node(changed), context)
    kept = await update(registry, node, a_node({"note": "x"}), context)
    assert kept.decode()["metadata"]["annotations"] == {"note": "x", **PINNED}


async def test_an_administrator_repins_a_node_and_unpins_none_by_leaving_out(
    registry: Registry, client: LocalClient
) -> None:
    """A cloud that has this API server for its store joins devices with an administrator's rights."""
    context, node = Context("kubernetes-admin", groups=("system:masters",)), target(registry, "nodes", name="edge-1")
    await create(registry, target(registry, "nodes"), a_node(PINNED), context)
    changed = {**PINNED, "edge.aiokubeedge.io/certificate": "cd"}
    assert (await update(registry, node, a_node(changed), context)).decode()["metadata"]["annotations"] == changed
    kept = await update(registry, node, a_node({"note": "x"}), context)
    assert kept.decode()["metadata"]["annotations"] == {"note": "x", **changed}


async def test_the_cloud_itself_pins_a_node(client: LocalClient) -> None:
    await client.create("nodes", a_node())
    patched = await client.patch("nodes", "", "edge-1", {"metadata": {"annotations": PINNED}})
    assert patched["metadata"]["annotations"] == PINNED
