from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import ApiError, Forbidden
from protocol.objects.keys import Body
from tests.support.registries import a_configmap, a_context, a_pod, a_service, target

QUOTAS = "resourcequotas"


async def a_quota(client: LocalClient, hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> None:
    """Create a quota and give it the status its controller would."""
    body = {"metadata": {"name": "share", "namespace": "default"}, "spec": {"hard": hard, **spec}}
    stored = await client.create(QUOTAS, body)
    status = {"hard": hard, "used": {**dict.fromkeys(hard, "0"), **(used or {})}}
    await client.update(QUOTAS, {**stored, "status": status}, subresource="status")


async def used(client: LocalClient) -> dict[str, str]:
    amounts: dict[str, str] = (await client.get(QUOTAS, "default", "share"))["status"]["used"]
    return amounts


def with_resources(name: str = "web", **resources: Body) -> Body:
    return a_pod(name, containers=[{"name": "app", "image": "i", "resources": resources}])


async def test_what_a_write_takes_is_used_at_once(client: LocalClient) -> None:
    await a_quota(client, {"pods": "2", "requests.cpu": "2", "memory": "1Gi", "count/configmaps": "5"})
    await client.create("pods", with_resources(requests={"cpu": "500m", "memory": "512Mi"}))
    await client.create("configmaps", a_configmap())
    assert await used(client) == {"pods": "1", "requests.cpu": "500m", "memory": "512Mi", "count/configmaps": "1"}


async def test_what_goes_over_is_refused_in_kubernetes_words(client: LocalClient) -> None:
    await a_quota(client, {"pods": "2", "requests.cpu": "1"}, {"pods": "2", "requests.cpu": "800m"})
    with pytest.raises(Forbidden) as refused:
        await client.create("pods", with_resources(requests={"cpu": "500m"}))
    assert refused.value.message == (
        'pods "web" is forbidden: exceeded quota: share, requested: pods=1,requests.cpu=500m, '
        "used: pods=2,requests.cpu=800m, limited: pods=2,requests.cpu=1"
    )
    assert (await used(client))["pods"] == "2"


async def test_a_pod_must_state_what_is_bounded(client: LocalClient) -> None:
    await a_quota(client, {"limits.cpu": "1", "requests.memory": "1Gi"})
    with pytest.raises(Forbidden) as refused:
        await client.create("pods", a_pod())
    assert refused.value.message == (
        'pods "web" is forbidden: failed quota: share: must specify limits.cpu for: app; requests.memory for: app'
    )


async def test_a_quota_that_is_not_counted_yet_lets_nothing_in(client: LocalClient) -> None:
    body = {"metadata": {"name": "share", "namespace": "default"}, "spec": {"hard": {"configmaps": "5"}}}
    await client.create(QUOTAS, body)
    with pytest.raises(Forbidden, match="status unknown for quota: share, resources: configmaps"):
        await client.create("configmaps", a_configmap())
    assert await client.create("services", a_service())


async def test_writes_side_by_side_do_not_share_what_is_left(client: LocalClient) -> None:
    await a_quota(client, {"configmaps": "3"})
    made = await asyncio.gather(
        *(client.create("configmaps", a_configmap(f"c{at}")) for at in range(10)), return_exceptions=True
    )
    assert sum(isinstance(each, dict) for each in made) == 3
    assert all(isinstance(each, dict | ApiError) for each in made)


async def test_a_change_takes_what_it_adds(client: LocalClient) -> None:
    await a_quota(client, {"services.nodeports": "1"})
    await client.create("services", a_service())
    await client.patch("services", "default", "web", {"spec": {"type": "NodePort"}})
    assert await used(client) == {"services.nodeports": "1"}
    await client.patch("services", "default", "web", {"metadata": {"labels": {"a": "b"}}})
    assert await used(client) == {"services.nodeports": "1"}
    with pytest.raises(Forbidden, match="exceeded quota"):
        await client.create("services", a_service("other", type="NodePort"))


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ({"scopes": ["BestEffort"]}, True),
        ({"scopes": ["NotBestEffort"]}, False),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotTerminating"]}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, False),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, True),
    ],
)
async def test_scopes_say_which_pods_count(client: LocalClient, spec: Body, counted: bool) -> None:
    await a_quota(client, {"pods": "5"}, **spec)
    await client.create("pods", a_pod())
    assert await used(client) == {"pods": str(int(counted))}


async def test_a_dry_run_takes_nothing(registry: Registry, client: LocalClient) -> None:
    await a_quota(client, {"configmaps": "1"})
    await create(registry, target(registry, "configmaps", "default"), a_configmap(), a_context(dry_run=True))
    assert await used(client) == {"configmaps": "0"}
