from __future__ import annotations

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import BadRequest, Invalid, NotFound
from tests.support.registries import a_context, a_pod, target


async def test_an_eviction_deletes_the_pod_with_its_options(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod(nodeName="edge-1"))
    eviction = target(registry, "pods", "default", "web", "eviction")
    body = {"metadata": {"name": "web"}, "deleteOptions": {"gracePeriodSeconds": 7}}
    await create_subresource(registry, eviction, body, a_context())
    assert (await client.get("pods", "default", "web"))["metadata"]["deletionGracePeriodSeconds"] == 7


async def test_an_eviction_of_nothing(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await create_subresource(registry, target(registry, "pods", "default", "web", "eviction"), {}, a_context())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"metadata": {"name": "other"}}, BadRequest),
        ({"deleteOptions": [1]}, BadRequest),
        ({"deleteOptions": {"gracePeriodSeconds": "x"}}, BadRequest),
        ({"deleteOptions": {"gracePeriodSeconds": -1}}, Invalid),
    ],
)
async def test_a_wrong_eviction_is_refused(
    registry: Registry, client: LocalClient, body: dict[str, object], error: type[Exception]
) -> None:
    stored = await client.create("pods", a_pod())
    with pytest.raises(error):
        await create_subresource(registry, target(registry, "pods", "default", "web", "eviction"), body, a_context())
    assert await client.get("pods", "default", "web") == stored
