from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.admission.nodeports import NODE_PORTS, NodePorts
from cloudcore.apiserver.create import create
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Invalid
from protocol.objects.keys import Body
from tests.support.registries import a_context, a_service, target


def a_node_port(name: str = "web", *ports: Body, **spec: Any) -> Body:
    return a_service(name, **{"type": "NodePort", "ports": list(ports) or [{"port": 80}], **spec})


def numbers(service: Body) -> list[int]:
    return [port["nodePort"] for port in service["spec"]["ports"]]


async def test_every_port_is_open_on_the_nodes_under_a_number_of_its_own(client: LocalClient) -> None:
    made = await asyncio.gather(*(client.create("services", a_node_port(f"s{n}")) for n in range(50)))
    given = {numbers(each)[0] for each in made}
    assert len(given) == 50
    assert all(number in NODE_PORTS for number in given)


async def test_a_number_asked_for_is_given_once_for_each_protocol(client: LocalClient) -> None:
    udp = {"port": 80, "nodePort": 30080, "protocol": "UDP", "name": "u"}
    await client.create("services", a_node_port("a", {"port": 80, "nodePort": 30080, "name": "t"}, udp))
    with pytest.raises(Invalid) as refused:
        await client.create("services", a_node_port("b", {"port": 80, "nodePort": 30080}))
    (cause,) = refused.value.causes
    assert cause.field == "spec.ports[0].nodePort"
    assert cause.message == "Invalid value: 30080: provided port is already allocated"
    await client.delete("services", "default", "a")
    await client.create("services", a_node_port("b", {"port": 80, "nodePort": 30080}))


@pytest.mark.parametrize("ports", [[30080, 30080], [80]])
async def test_what_cannot_be_given(client: LocalClient, ports: list[int]) -> None:
    listed = [{"port": 80 + at, "nodePort": number, "name": f"p{at}"} for at, number in enumerate(ports)]
    with pytest.raises(Invalid, match=r"already allocated|The range of valid ports is 30000-32767"):
        await client.create("services", a_node_port("a", *listed))


async def test_the_same_port_of_two_protocols_has_one_number(client: LocalClient) -> None:
    dns = [{"port": 53, "protocol": protocol, "name": protocol.lower()} for protocol in ("UDP", "TCP")]
    udp, tcp = numbers(await client.create("services", a_node_port("dns", *dns)))
    assert udp == tcp


async def test_numbers_stay_through_updates_and_go_with_the_type(client: LocalClient) -> None:
    before = numbers(await client.create("services", a_node_port()))
    changed = a_node_port("web", {"port": 80, "targetPort": 81, "name": "a"}, {"port": 443, "name": "b"})
    updated = await client.update("services", changed)
    assert numbers(updated)[0] == before[0]
    assert numbers(updated)[1] not in before
    spec = (await client.patch("services", "default", "web", {"spec": {"type": "ClusterIP"}}))["spec"]
    assert "nodePort" not in spec["ports"][0]
    assert "externalTrafficPolicy" not in spec


async def test_a_load_balancer_has_ports_unless_it_wants_none(client: LocalClient) -> None:
    spec = (await client.create("services", a_node_port("a", type="LoadBalancer")))["spec"]
    assert spec["ports"][0]["nodePort"] in NODE_PORTS
    assert spec["allocateLoadBalancerNodePorts"] is True
    without = a_node_port("b", type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert "nodePort" not in (await client.create("services", without))["spec"]["ports"][0]


async def test_local_traffic_of_a_load_balancer_has_a_health_port(client: LocalClient) -> None:
    body = a_node_port("a", type="LoadBalancer", externalTrafficPolicy="Local")
    service = await client.create("services", body)
    port = service["spec"]["healthCheckNodePort"]
    assert port in NODE_PORTS
    assert port not in numbers(service)
    changed = await client.patch("services", "default", "a", {"spec": {"externalTrafficPolicy": "Cluster"}})
    assert "healthCheckNodePort" not in changed["spec"]


async def test_a_new_process_knows_the_numbers_that_are_taken(registry: Registry, client: LocalClient) -> None:
    (number,) = numbers(await client.create("services", a_node_port()))
    registry.admission = AdmissionChain([NodePorts()])
    with pytest.raises(Invalid):
        await client.create("services", a_node_port("b", {"port": 80, "nodePort": number}))


async def test_a_dry_run_takes_no_number(registry: Registry, client: LocalClient) -> None:
    body = a_node_port("a", {"port": 80, "nodePort": 30081})
    await create(registry, target(registry, "services", "default"), body, a_context(dry_run=True))
    await client.create("services", a_node_port("b", {"port": 80, "nodePort": 30081}))
