"""Admission: every Service that needs one gets a cluster address of its own."""

from __future__ import annotations

import ipaddress
from random import Random

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import InternalError, NotFound
from cloudcore.store.base import Store
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import SERVICES

SERVICE_RANGE = "10.96.0.0/16"


class ServiceAddresses:
    """Allocates ``spec.clusterIP``.

    Which addresses are taken is read from the store at first use and kept up by what is handed out here, since
    every Service is made through this plugin. An address whose Service is gone is found free when it is drawn.

    Args:
        network: The range, in CIDR notation.
        rng: Draws addresses.
    """

    validating = False

    def __init__(self, network: str = SERVICE_RANGE, rng: Random | None = None) -> None:
        self._network = ipaddress.ip_network(network)
        self._rng = rng or Random()
        self._owners: dict[str, ObjectKey] | None = None

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of services."""
        return operation is not Operation.DELETE and resource == SERVICES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Allocate an address, or check the one asked for.

        Raises:
            Invalid: The address asked for is taken.
            InternalError: The range is used up.
        """
        spec, key = admission.body["spec"], admission.target.key
        if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
            if spec.get("clusterIP") == "None":
                spec["clusterIPs"] = ["None"]
            return
        owners = await self._taken(admission.store)
        address = spec.get("clusterIP")
        if not address:
            address = await self._draw(admission.store, owners)
        elif not await _is_free(admission.store, owners, address, key):
            detail = f"failed to allocate IP {address}: provided IP is already allocated"
            wrong = invalid("spec.clusterIPs", [address], detail)
            raise failures.invalid(admission.target.kind, key.name, [wrong])
        if not admission.context.dry_run:
            owners[address] = key
        spec["clusterIP"], spec["clusterIPs"] = address, [address]

    async def _taken(self, store: Store) -> dict[str, ObjectKey]:
        if self._owners is None:
            listing = await store.list(SERVICES)
            self._owners = {_address(record.decode()): record.key for record in listing.records}
        return self._owners

    async def _draw(self, store: Store, owners: dict[str, ObjectKey]) -> str:
        """Return a free address: from a random start, the next that nobody has."""
        hosts = self._network.num_addresses - 2
        start = self._rng.randrange(hosts)
        for step in range(hosts):
            address = str(self._network[1 + (start + step) % hosts])
            if address not in owners:
                return address
        for address in list(owners):
            if await _is_free(store, owners, address, ObjectKey(SERVICES, "", "")):
                return address
        raise InternalError("failed to allocate a serviceIP: range is full")


async def _is_free(store: Store, owners: dict[str, ObjectKey], address: str, asker: ObjectKey) -> bool:
    owner = owners.get(address)
    if owner is None or owner == asker:
        return True
    try:
        return _address((await store.get(owner)).decode()) != address
    except NotFound:
        return True


def _address(service: Body) -> str:
    address: str = (service.get("spec") or {}).get("clusterIP") or ""
    return address
