"""``kubectl get`` of services and their endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from cloudcore.apiserver.http.tables.printers import (
    AGE,
    NAME,
    Cells,
    Column,
    at,
    created,
    joined,
    labels_text,
    printer,
    wide,
)
from protocol.objects.keys import Body

_SHOWN_ENDPOINTS = 3


@printer(
    "services", NAME, Column("Type"), Column("Cluster-IP"), Column("External-IP"), Column("Port(s)"), AGE,
    wide("Selector"),
)  # fmt: skip
def service_cells(service: Body, now: float) -> Cells:
    """Return a Service's row."""
    spec = service.get("spec") or {}
    addresses = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [
        service["metadata"]["name"],
        spec.get("type", "ClusterIP"),
        addresses[0] if addresses else "<none>",
        _external(service, spec),
        joined(_port(port) for port in spec.get("ports") or ()),
        created(service, now),
        labels_text(spec.get("selector")),
    ]


def _external(service: Body, spec: Body) -> str:
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "<none>"))
    ingress = at(service, "status", "loadBalancer", "ingress") or ()
    balanced = [entry.get("ip") or entry.get("hostname", "") for entry in ingress]
    if spec.get("type") == "LoadBalancer" and not balanced and not spec.get("externalIPs"):
        return "<pending>"
    return joined([*balanced, *(spec.get("externalIPs") or ())])


def _port(port: Body) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}"


@printer("endpoints", NAME, Column("Endpoints"), AGE)
def endpoints_cells(body: Body, now: float) -> Cells:
    """Return an Endpoints' row."""
    places = [
        f"{address.get('ip', '')}:{port['port']}" if port else address.get("ip", "")
        for subset in body.get("subsets") or ()
        for port in subset.get("ports") or (None,)  # a headless Service may have none
        for address in subset.get("addresses") or ()
    ]
    more = len(places) - _SHOWN_ENDPOINTS
    shown = ",".join(places[:_SHOWN_ENDPOINTS]) + (f" + {more} more..." if more > 0 else "")
    return [body["metadata"]["name"], shown or "<none>", created(body, now)]


@printer("endpointslices.discovery.k8s.io", NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE)
def endpointslice_cells(body: Body, now: float) -> Cells:
    """Return an EndpointSlice's row."""
    addresses = [address for endpoint in body.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [
        body["metadata"]["name"],
        body.get("addressType", ""),
        _some(str(port.get("port", "*")) for port in body.get("ports") or ()),
        _some(addresses),
        created(body, now),
    ]


def _some(values: Iterable[str]) -> str:
    items = list(values)
    if not items:
        return "<unset>"
    more = len(items) - _SHOWN_ENDPOINTS
    return ",".join(items[:_SHOWN_ENDPOINTS]) + (f" + {more} more..." if more > 0 else "")
