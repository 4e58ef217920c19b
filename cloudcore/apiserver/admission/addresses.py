"""Admission: every Service that needs one gets a cluster address of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.allocations import Allocations
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import InternalError
from protocol.objects.keys import Body
from protocol.objects.resources import SERVICES

SERVICE_RANGE = "10.96.0.0/16"
HEADLESS: Final = "None"


class ServiceAddresses:
    """Allocates ``spec.clusterIP``.

    Args:
        network: The range, in CIDR notation.
        rng: Draws addresses.
    """

    validating = False

    def __init__(self, network: str = SERVICE_RANGE, rng: Random | None = None) -> None:
        self._network = ipaddress.ip_network(network)
        self._rng = rng or Random()
        self._allocations = Allocations(_addresses)

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of services."""
        return operation is not Operation.DELETE and resource == SERVICES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Allocate an address, or check the one asked for.

        Raises:
            Invalid: The address asked for is taken, or not of the range.
            InternalError: The range is used up.
        """
        spec = admission.body["spec"]
        if spec.get("type") == "ExternalName":
            return
        address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if address == HEADLESS:
            spec["clusterIP"], spec["clusterIPs"] = HEADLESS, spec.get("clusterIPs") or [HEADLESS]
            return
        if not address:
            drawn = await self._allocations.draw(self._candidates(), admission)
            if drawn is None:
                raise InternalError("failed to allocate a serviceIP: range is full")
            address = drawn
        elif not await self._check(admission, address):
            return
        spec["clusterIP"] = address
        spec["clusterIPs"] = spec.get("clusterIPs") or [address]

    async def _check(self, admission: Admission, address: str) -> bool:
        """Check an address asked for; tell whether it is one at all: validation refuses what is none."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        why = ""
        if parsed not in self._network:
            why = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self._network}"
        elif not await self._allocations.claim(address, admission):
            why = "provided IP is already allocated"
        if why and not _kept(admission, address):
            wrong = invalid("spec.clusterIPs", [address], f"failed to allocate IP {address}: {why}")
            raise failures.invalid(admission.target.kind, admission.target.name, [wrong])
        return True

    def _candidates(self) -> Iterator[str]:
        """Yield the addresses of the range from a random start."""
        hosts = self._network.num_addresses - 2
        start = self._rng.randrange(hosts)
        return (str(self._network[1 + (start + step) % hosts]) for step in range(hosts))


def _kept(admission: Admission, address: str) -> bool:
    """Tell whether the Service has the address already, as one that was made under another range."""
    return admission.old is not None and address in _addresses(admission.old)


def _addresses(service: Body) -> Iterable[str]:
    address = (service.get("spec") or {}).get("clusterIP") or ""
    return () if address in {"", HEADLESS} else (address,)
