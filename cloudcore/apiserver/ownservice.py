"""The Service ``kubernetes`` in ``default``: how programs inside the cluster find this API server.

Its endpoint is the first address that the cloud is reached under. A cloud that only loopback reaches has none: on a
device, 127.0.0.1 is the device.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any, Final

import structlog

from cloudcore.apiserver.admission.addresses import SERVICE_RANGE
from cloudcore.client import Client
from cloudcore.errors import ApiError, Invalid, NotFound
from protocol.objects.keys import Body
from protocol.objects.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES

log = structlog.get_logger(__name__)

NAME: Final = "kubernetes"
PERIOD_S: Final = 10.0
"""Between two looks at whether it is still there."""
_NAMESPACE: Final = "default"
_PORT: Final = 443
_SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"


async def publish(client: Client, names: Sequence[str], port: int) -> None:
    """Create the Service and its endpoints, or bring them up to date.

    Args:
        client: Writes.
        names: The names and addresses the API server is reached under.
        port: Its port.
    """
    await _ensure(client, SERVICES, _service(port))
    address = endpoint_address(names)
    if address:
        await _ensure(client, ENDPOINTS, _endpoints(address, port))
        await _ensure(client, ENDPOINT_SLICES, _slice(address, port))


async def keep_published(client: Client, names: Sequence[str], port: int) -> None:
    """Bring the Service back whenever somebody has deleted or changed it (``kubectl delete all --all``), for ever.

    As with kube-apiserver this is looked at every 10 s; nothing is written where nothing differs.
    """
    while True:
        await asyncio.sleep(PERIOD_S)
        try:
            await publish(client, names, port)
        except ApiError as error:
            log.warning("cannot publish the service kubernetes", error=str(error))


def endpoint_address(names: Sequence[str]) -> str:
    """Return the first of ``names`` that is an IPv4 address others can reach; empty where none is."""
    for name in names:
        try:
            address = ipaddress.IPv4Address(name)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_link_local):
            return name
    return ""


def _metadata(**labels: str) -> Body:
    return {"name": NAME, "namespace": _NAMESPACE, "labels": labels}


def _service(port: int) -> Body:
    first = str(ipaddress.ip_network(SERVICE_RANGE)[1])
    return {
        "metadata": _metadata(component="apiserver", provider=NAME),
        "spec": {
            "clusterIP": first,
            "ports": [{"name": "https", "port": _PORT, "protocol": "TCP", "targetPort": port}],
        },
    }


def _endpoints(address: str, port: int) -> Body:
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    subsets = [{"addresses": [{"ip": address}], "ports": ports}]
    return {"metadata": _metadata(**{_SKIP_MIRROR: "true"}), "subsets": subsets}


def _slice(address: str, port: int) -> Body:
    return {
        "metadata": _metadata(**{"kubernetes.io/service-name": NAME}),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


async def _ensure(client: Client, resource: str, body: Body) -> None:
    """Create an object, or give the one that is there its present ports and addresses; others' fields stay."""
    try:
        stored = await client.get(resource, _NAMESPACE, NAME)
    except NotFound:
        try:
            await client.create(resource, body)
        except Invalid:
            # A cloud from before this Service was made may have given its address away.
            del body["spec"]["clusterIP"]
            await client.create(resource, body)
        return
    wanted = _updated(stored, body)
    if wanted != stored:
        await client.update(resource, wanted)


def _updated(stored: Body, body: Body) -> Body:
    present: dict[str, Any] = dict(stored)
    for name in ("subsets", "endpoints", "ports"):
        if name in body:
            present[name] = body[name]
    if "spec" in body:
        present["spec"] = {**stored["spec"], "ports": body["spec"]["ports"]}
    return present
