from __future__ import annotations

import asyncio
import ipaddress
from random import Random

import pytest

from cloudcore.apiserver.admission.addresses import ServiceAddresses
from cloudcore.apiserver.admission.chain import Admission, AdmissionChain, Operation
from cloudcore.apiserver.admission.nodeports import NodePorts
from cloudcore.apiserver.context import Context
from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Forbidden, InternalError, Invalid
from protocol.objects.keys import Body
from tests.support.registries import a_service, make_registry, target


async def test_every_service_has_an_address_of_its_own(client: LocalClient) -> None:
    services = await asyncio.gather(*(client.create("services", a_service(f"s{n}")) for n in range(50)))
    addresses = {each["spec"]["clusterIP"] for each in services}
    assert len(addresses) == 50
    assert all(ipaddress.ip_address(each) in ipaddress.ip_network("10.96.0.0/16") for each in addresses)
    assert services[0]["spec"]["clusterIPs"] == [services[0]["spec"]["clusterIP"]]


async def test_an_address_stays_through_updates(client: LocalClient) -> None:
    stored = await client.create("services", a_service())
    updated = await client.update("services", a_service(ports=[{"port": 81}]))
    assert updated["spec"]["clusterIP"] == stored["spec"]["clusterIP"]


async def test_an_address_asked_for_is_given_once(client: LocalClient) -> None:
    await client.create("services", a_service("a", clusterIP="10.96.5.5"))
    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await client.create("services", a_service("b", clusterIP="10.96.5.5"))
    await client.delete("services", "default", "a")
    stored = await client.create("services", a_service("b", clusterIP="10.96.5.5"))
    assert stored["spec"]["clusterIPs"] == ["10.96.5.5"]


async def test_an_address_is_of_the_range(client: LocalClient) -> None:
    with pytest.raises(Invalid) as refused:
        await client.create("services", a_service(clusterIP="192.168.1.1"))
    assert refused.value.message == (
        'Service "web" is invalid: spec.clusterIPs: Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: '
        "the provided IP (192.168.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
    )


async def test_an_address_goes_and_comes_with_the_type(client: LocalClient) -> None:
    address = (await client.create("services", a_service()))["spec"]["clusterIP"]
    named = {"spec": {"type": "ExternalName", "externalName": "a.b"}}
    spec = (await client.patch("services", "default", "web", named))["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & spec.keys()
    assert (await client.create("services", a_service("b", clusterIP=address)))["spec"]["clusterIP"] == address
    back = {"spec": {"type": "ClusterIP", "externalName": None}}
    spec = (await client.patch("services", "default", "web", back))["spec"]
    assert spec["clusterIP"] != address
    assert spec["clusterIPs"] == [spec["clusterIP"]]


async def test_some_services_have_no_address(client: LocalClient) -> None:
    headless = await client.create("services", a_service("a", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]
    named = await client.create("services", a_service("b", type="ExternalName", externalName="a.b"))
    assert "clusterIP" not in named["spec"]


async def test_a_new_process_knows_the_addresses_that_are_taken(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("services", a_service())
    registry.admission = AdmissionChain([ServiceAddresses()])
    with pytest.raises(Invalid):
        await client.create("services", a_service("b", clusterIP=stored["spec"]["clusterIP"]))


async def test_a_used_up_range_is_searched_for_what_was_given_back() -> None:
    registry = make_registry(AdmissionChain([ServiceAddresses("10.0.0.0/30", Random(1))]))
    client = LocalClient(registry)
    first = await client.create("services", a_service("a"))
    await client.create("services", a_service("b"))
    with pytest.raises(InternalError, match="range is full"):
        await client.create("services", a_service("c"))
    await client.delete("services", "default", "a")
    again = await client.create("services", a_service("c"))
    assert again["spec"]["clusterIP"] == first["spec"]["clusterIP"]
    await registry.store.close()


async def test_a_dry_run_takes_no_address() -> None:
    registry = make_registry(AdmissionChain([ServiceAddresses("10.0.0.0/30", Random(1))]))
    for _ in range(3):
        body = a_service()
        await create(registry, target(registry, "services", "default"), body, Context("admin", dry_run=True))
    await LocalClient(registry).create("services", a_service())
    await registry.store.close()


class Gate:
    """A policy that keeps writes waiting until it is opened, and refuses those of Services that are to fail."""

    validating = True

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        return True

    async def admit(self, admission: Admission) -> None:
        self.reached.set()
        await self.open.wait()
        if admission.target.name == "fails":
            raise Forbidden("no")


@pytest.fixture
async def gate(registry: Registry) -> Gate:
    gate = Gate()
    registry.admission = AdmissionChain([ServiceAddresses(), NodePorts(), gate])
    return gate


@pytest.mark.parametrize(
    "wanted",
    [{"clusterIP": "10.96.5.5"}, {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}],
    ids=["address", "port"],
)
async def test_what_two_ask_for_in_the_same_instant_goes_to_the_first(
    client: LocalClient, gate: Gate, wanted: Body
) -> None:
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.create("services", a_service("a", **wanted)))
        await gate.reached.wait()
        with pytest.raises(Invalid, match="already allocated"):
            await client.create("services", a_service("b", **wanted))
        gate.open.set()
    assert first.result()["metadata"]["name"] == "a"


async def test_what_a_write_asked_for_is_free_again_once_it_has_failed(client: LocalClient, gate: Gate) -> None:
    gate.open.set()
    with pytest.raises(Forbidden):
        await client.create("services", a_service("fails", clusterIP="10.96.5.5"))
    stored = await client.create("services", a_service("b", clusterIP="10.96.5.5"))
    assert stored["spec"]["clusterIP"] == "10.96.5.5"


async def test_an_update_holds_what_it_asks_for_until_it_is_stored(client: LocalClient, gate: Gate) -> None:
    gate.open.set()
    await client.create("services", a_service("a", type="ExternalName", externalName="a.b"))
    gate.open.clear()
    gate.reached.clear()
    back = {"spec": {"type": "ClusterIP", "externalName": None, "clusterIP": "10.96.5.5"}}
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.patch("services", "default", "a", back))
        await gate.reached.wait()
        with pytest.raises(Invalid, match="already allocated"):
            await client.create("services", a_service("b", clusterIP="10.96.5.5"))
        gate.open.set()
    assert first.result()["spec"]["clusterIP"] == "10.96.5.5"
