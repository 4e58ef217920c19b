from __future__ import annotations

import asyncio

import pytest

from cloudcore.apiserver.admission import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.ownservice import PERIOD_S, endpoint_address, keep_published, publish
from cloudcore.errors import NotFound
from tests.support.registries import a_service, make_registry

SLICES = "endpointslices.discovery.k8s.io"


@pytest.fixture
async def client() -> LocalClient:
    registry = make_registry(admission_chain())
    await bootstrap(registry)
    return LocalClient(registry)


async def test_the_service_leads_to_the_server(client: LocalClient) -> None:
    await publish(client, ["cloud.example", "192.0.2.7"], 6443)
    spec = (await client.get("services", "default", "kubernetes"))["spec"]
    assert (spec["clusterIP"], spec["ports"][0]["port"], spec["ports"][0]["targetPort"]) == ("10.96.0.1", 443, 6443)
    (subset,) = (await client.get("endpoints", "default", "kubernetes"))["subsets"]
    assert (subset["addresses"], subset["ports"][0]["port"]) == ([{"ip": "192.0.2.7"}], 6443)
    assert (await client.get(SLICES, "default", "kubernetes"))["endpoints"][0]["addresses"] == ["192.0.2.7"]


async def test_a_later_run_brings_it_up_to_date_and_changes_nothing_else(client: LocalClient) -> None:
    await publish(client, ["192.0.2.7"], 6443)
    before = await client.patch("services", "default", "kubernetes", {"metadata": {"labels": {"mine": "1"}}})
    await publish(client, ["192.0.2.7"], 6443)
    assert await client.get("services", "default", "kubernetes") == before
    await publish(client, ["192.0.2.8"], 7443)
    after = await client.get("services", "default", "kubernetes")
    assert after["spec"]["ports"][0]["targetPort"] == 7443
    assert after["metadata"]["labels"]["mine"] == "1"
    (subset,) = (await client.get("endpoints", "default", "kubernetes"))["subsets"]
    assert subset["addresses"] == [{"ip": "192.0.2.8"}]


@pytest.mark.looptime
async def test_a_service_that_somebody_deletes_comes_back(client: LocalClient) -> None:
    await publish(client, ["192.0.2.7"], 6443)
    keeping = asyncio.create_task(keep_published(client, ["192.0.2.7"], 6443))
    try:
        await client.delete("services", "default", "kubernetes")
        await client.delete("endpoints", "default", "kubernetes")
        await asyncio.sleep(PERIOD_S + 1)
        assert (await client.get("services", "default", "kubernetes"))["spec"]["clusterIP"] == "10.96.0.1"
        assert (await client.get("endpoints", "default", "kubernetes"))["subsets"]
    finally:
        keeping.cancel()


async def test_a_cloud_on_loopback_has_no_endpoint(client: LocalClient) -> None:
    await publish(client, ["127.0.0.1", "localhost"], 6443)
    assert (await client.get("services", "default", "kubernetes"))["spec"]["clusterIP"] == "10.96.0.1"
    with pytest.raises(NotFound):
        await client.get("endpoints", "default", "kubernetes")


async def test_an_address_that_is_given_away_is_left_alone(client: LocalClient) -> None:
    await client.create("services", a_service("other", clusterIP="10.96.0.1"))
    await publish(client, [], 6443)
    assert (await client.get("services", "default", "kubernetes"))["spec"]["clusterIP"] != "10.96.0.1"


@pytest.mark.parametrize(
    ("names", "address"),
    [([], ""), (["a", "::1", "127.0.0.1", "0.0.0.0", "169.254.1.1"], ""), (["a", "10.0.0.4", "10.0.0.5"], "10.0.0.4")],
)
def test_which_address_is_the_endpoint(names: list[str], address: str) -> None:
    assert endpoint_address(names) == address
