"""What a Service of each type has, and what it keeps and gives up when it is changed.

Source: Kubernetes ``registry/core/service`` (patchAllocatedValues, dropTypeDependentFields).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.objects.keys import Body

_Needs = Callable[[Body], bool]


def needs_address(spec: Body) -> bool:
    """Tell whether a Service has a cluster address, ``None`` included."""
    return spec.get("type") in {None, "ClusterIP", "LoadBalancer", "NodePort"}


def needs_node_ports(spec: Body) -> bool:
    """Tell whether a Service's ports are open on every node."""
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == "NodePort"


def needs_health_port(spec: Body) -> bool:
    """Tell whether a load balancer asks the nodes which of them have endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def needs_external_traffic(spec: Body) -> bool:
    """Tell whether traffic comes from outside by node ports, or by a load balancer's own way."""
    return spec.get("type") in {"LoadBalancer", "NodePort"} or bool(spec.get("externalIPs"))


def is_load_balancer(spec: Body) -> bool:
    """Tell whether a Service asks for a load balancer."""
    return spec.get("type") == "LoadBalancer"


_GIVEN_UP: Final[tuple[tuple[_Needs, tuple[str, ...]], ...]] = (
    (needs_address, ("clusterIP", "clusterIPs")),
    (needs_address, ("ipFamilies",)),
    (needs_address, ("ipFamilyPolicy",)),
    (needs_address, ("internalTrafficPolicy",)),
    (needs_health_port, ("healthCheckNodePort",)),
    (is_load_balancer, ("allocateLoadBalancerNodePorts",)),
    (is_load_balancer, ("loadBalancerClass",)),
    (needs_external_traffic, ("externalTrafficPolicy",)),
)
"""Fields that go with a property that a change of type takes away, unless the client changed them as well."""


def changed_service(body: Body, old: Body) -> None:
    """Keep what was allocated to a Service where the client left it out; drop what its new type does not have."""
    spec, before = body.get("spec"), old.get("spec")
    if isinstance(spec, dict) and isinstance(before, dict):
        _keep(spec, before)
        _give_up(spec, before)


def _keep(spec: Body, before: Body) -> None:
    if needs_address(before) and needs_address(spec):
        for name in ("clusterIP", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and before.get(name):
                spec[name] = before[name]
        same = spec.get("clusterIP") == before.get("clusterIP")
        if same and not spec.get("clusterIPs") and before.get("clusterIPs"):
            spec["clusterIPs"] = before["clusterIPs"]
    if needs_node_ports(before) and needs_node_ports(spec):
        open_ports = {_place(port): port["nodePort"] for port in before.get("ports") or () if port.get("nodePort")}
        stated = {port.get("nodePort") for port in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            if not port.get("nodePort") and open_ports.get(_place(port), 0) not in {0, *stated}:
                port["nodePort"] = open_ports[_place(port)]
    if needs_health_port(before) and needs_health_port(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort")


def _give_up(spec: Body, before: Body) -> None:
    for needs, names in _GIVEN_UP:
        if needs(before) and not needs(spec) and all(spec.get(name) == before.get(name) for name in names):
            for name in names:
                spec.pop(name, None)
    if needs_node_ports(before) and not needs_node_ports(spec) and _numbers(spec) == _numbers(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)


def _place(port: Body) -> tuple[str, int]:
    return port.get("protocol") or "TCP", port.get("port") or 0


def _numbers(spec: Body) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
