"""Admission: Services of the types NodePort and LoadBalancer get ports that are theirs on every node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.allocations import Allocations
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.kinds.services import needs_health_port, needs_node_ports
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import InternalError
from protocol.objects.keys import Body
from protocol.objects.resources import SERVICES

NODE_PORTS: Final = range(30_000, 32_768)
_HEALTH: Final = "TCP"


class NodePorts:
    """Allocates ``spec.ports[*].nodePort`` and ``spec.healthCheckNodePort``.

    One number may serve two protocols, of one Service or of two.

    Args:
        rng: Draws ports.
    """

    validating = False

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or Random()
        self._allocations: Allocations[tuple[int, str]] = Allocations(_ports)

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of services."""
        return operation is not Operation.DELETE and resource == SERVICES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Allocate the ports that lack, and check those that are asked for.

        Raises:
            Invalid: A port asked for is taken, or not of the range.
            InternalError: The range is used up.
        """
        spec = admission.body["spec"]
        taken: set[tuple[int, str]] = set()
        if needs_node_ports(spec) or any(port.get("nodePort") for port in _may_have(spec)):
            await self._assign(admission, taken)
        if needs_health_port(spec):
            wanted = spec.get("healthCheckNodePort") or 0
            spec["healthCheckNodePort"] = await self._one(admission, wanted, _HEALTH, "spec.healthCheckNodePort", taken)

    async def _assign(self, admission: Admission, taken: set[tuple[int, str]]) -> None:
        spec = admission.body["spec"]
        ports = list(enumerate(spec.get("ports") or ()))
        drawn: dict[int, set[str]] = {}
        # Those asked for come first, so that none is drawn that a later one asks for.
        for index, port in sorted(ports, key=lambda pair: not pair[1].get("nodePort")):
            wanted, protocol = port.get("nodePort") or 0, port.get("protocol") or "TCP"
            if not wanted and not needs_node_ports(spec):
                continue
            path = f"spec.ports[{index}].nodePort"
            # DNS over UDP and TCP is one port number to people: a port of both protocols gets one number.
            twin = next((number for number, used in drawn.items() if _twins(spec, port, number, used)), 0)
            number = await self._one(admission, wanted or twin, protocol, path, taken)
            port["nodePort"] = number
            drawn.setdefault(number, set()).add(protocol)

    async def _one(
        self, admission: Admission, wanted: int, protocol: str, path: str, taken: set[tuple[int, str]]
    ) -> int:
        chosen = (wanted, protocol)
        if wanted:
            why = ""
            if wanted not in NODE_PORTS and not _kept(admission, wanted, protocol):
                bounds = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
                why = f"provided port is not in the valid range. The range of valid ports is {bounds}"
            elif chosen in taken or not await self._allocations.claim(chosen, admission):
                why = "provided port is already allocated"
            if why:
                raise failures.invalid(admission.target.kind, admission.target.name, [invalid(path, wanted, why)])
        else:
            candidates = ((port, protocol) for port in self._candidates() if (port, protocol) not in taken)
            drawn = await self._allocations.draw(candidates, admission)
            if drawn is None:
                raise InternalError("failed to allocate a nodePort: range is full")
            chosen = drawn
        taken.add(chosen)
        return chosen[0]

    def _candidates(self) -> Iterator[int]:
        """Yield the ports of the range from a random start."""
        start = self._rng.randrange(len(NODE_PORTS))
        return (NODE_PORTS[(start + step) % len(NODE_PORTS)] for step in range(len(NODE_PORTS)))


def _may_have(spec: Body) -> list[Body]:
    """Return the ports of a Service that may state node ports without getting any by itself."""
    ports: list[Body] = spec.get("ports") or []
    return ports if spec.get("type") == "LoadBalancer" else []


def _twins(spec: Body, port: Body, number: int, used: set[str]) -> bool:
    """Tell whether ``number`` was given to the same port of another protocol."""
    return port.get("protocol", "TCP") not in used and any(
        other.get("nodePort") == number and other.get("port") == port.get("port") for other in spec["ports"]
    )


def _kept(admission: Admission, number: int, protocol: str) -> bool:
    return admission.old is not None and (number, protocol) in _ports(admission.old)


def _ports(service: Body) -> Iterable[tuple[int, str]]:
    spec = service.get("spec") or {}
    held = [(port["nodePort"], port.get("protocol", "TCP")) for port in spec.get("ports") or () if port.get("nodePort")]
    health = spec.get("healthCheckNodePort")
    return [*held, (health, _HEALTH)] if health else held
