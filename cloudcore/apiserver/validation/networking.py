"""Rules of Ingresses, IngressClasses, NetworkPolicies and EndpointSlices.

Source: Kubernetes ``pkg/apis/networking/validation``, ``pkg/apis/discovery/validation``.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from cloudcore.apiserver.validation.containers import PROTOCOLS
from cloudcore.apiserver.validation.fields import invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_PATH_TYPES: Final = frozenset({"Exact", "ImplementationSpecific", "Prefix"})
_DIRECTIONS: Final = frozenset({"Egress", "Ingress"})
_ADDRESS_TYPES: Final = frozenset({"FQDN", "IPv4", "IPv6"})
_MOST_ENDPOINTS: Final = 1000
_MOST_ADDRESSES: Final = 100
_IMMUTABLE: Final = "field is immutable"


def check_ingress(body: Body) -> list[Cause]:
    """Return what is wrong with an Ingress."""
    spec = body.get("spec") or {}
    rules = spec.get("rules") or []
    causes = []
    if not rules and "defaultBackend" not in spec:
        why = "either `defaultBackend` or `rules` must be specified"
        causes.append(invalid("spec", spec, why))
    if "defaultBackend" in spec:
        causes += _check_backend("spec.defaultBackend", spec["defaultBackend"])
    for index, rule in enumerate(rules):
        causes += _check_rule(f"spec.rules[{index}]", rule)
    if spec.get("ingressClassName"):
        causes += check_name("subdomain", "spec.ingressClassName", spec["ingressClassName"])
    return causes


def _check_rule(path: str, rule: Body) -> list[Cause]:
    host = rule.get("host", "")
    causes = check_name("subdomain", f"{path}.host", host.removeprefix("*.")) if host else []
    paths = (rule.get("http") or {}).get("paths")
    if paths is not None and not paths:
        causes.append(required(f"{path}.http.paths"))
    for index, item in enumerate(paths or ()):
        below, kind, route = f"{path}.http.paths[{index}]", item.get("pathType"), item.get("path", "")
        if kind is None:
            causes.append(required(f"{below}.pathType", "pathType must be specified"))
        else:
            causes += one_of(f"{below}.pathType", kind, _PATH_TYPES)
        if not route.startswith("/") and (route or kind in {"Exact", "Prefix"}):
            causes.append(invalid(f"{below}.path", route, "must be an absolute path"))
        causes += _check_backend(f"{below}.backend", item.get("backend") or {})
    return causes


def _check_backend(path: str, backend: Body) -> list[Cause]:
    service = backend.get("service")
    if service is None and "resource" not in backend:
        return [required(path, "service or resource backend is required")]
    if service is None:
        return []
    if "resource" in backend:
        return [invalid(path, "", "cannot set both resource and service backends")]
    name, port = service.get("name", ""), service.get("port") or {}
    causes = check_name("service", f"{path}.service.name", name) if name else [required(f"{path}.service.name")]
    if "name" in port and "number" in port:
        causes.append(invalid(path, "", "cannot set both port name & port number"))
    elif "number" in port and not 1 <= port["number"] <= 65535:
        causes.append(invalid(f"{path}.service.port.number", port["number"], "must be between 1 and 65535, inclusive"))
    elif not port.get("name") and "number" not in port:
        causes.append(required(path, "port name or number is required"))
    return causes


def check_ingress_class(body: Body) -> list[Cause]:
    """Return what is wrong with an IngressClass."""
    controller = (body.get("spec") or {}).get("controller", "")
    domain, slash, rest = controller.partition("/")
    if not slash or not rest or check_name("subdomain", "", domain):
        why = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [invalid("spec.controller", controller, why)]
    return []


def check_ingress_class_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed IngressClass: its controller is immutable."""
    controller, before = ((each.get("spec") or {}).get("controller") for each in (body, old))
    return [] if controller == before else [invalid("spec.controller", controller, _IMMUTABLE)]


def check_network_policy(body: Body) -> list[Cause]:
    """Return what is wrong with a NetworkPolicy."""
    spec = body.get("spec") or {}
    causes = check_label_selector("spec.podSelector", spec.get("podSelector") or {})
    for index, direction in enumerate(spec.get("policyTypes") or ()):
        causes += one_of(f"spec.policyTypes[{index}]", direction, _DIRECTIONS)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                causes += one_of(f"{path}.ports[{number}].protocol", port.get("protocol"), PROTOCOLS)
            for number, peer in enumerate(rule.get(peers) or ()):
                causes += _check_peer(f"{path}.{peers}[{number}]", peer)
    return causes


def _check_peer(path: str, peer: Body) -> list[Cause]:
    if not peer:
        return [required(path, "must specify a peer")]
    block = peer.get("ipBlock")
    if block is None:
        return [
            cause
            for name in ("podSelector", "namespaceSelector")
            if peer.get(name)
            for cause in check_label_selector(f"{path}.{name}", peer[name])
        ]
    if len(peer) > 1:
        return [invalid(path, peer, "may not specify both ipBlock and another peer")]
    return [
        invalid(f"{path}.ipBlock.{name}", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        for name, cidr in (("cidr", block.get("cidr", "")), *(("except", each) for each in block.get("except") or ()))
        if not _is_network(cidr)
    ]


def check_endpoint_slice(body: Body) -> list[Cause]:
    """Return what is wrong with an EndpointSlice."""
    kind, endpoints = body.get("addressType"), body.get("endpoints") or []
    causes = one_of("addressType", kind, _ADDRESS_TYPES)
    if len(endpoints) > _MOST_ENDPOINTS:
        causes.append(
            Cause(
                "FieldValueTooMany",
                f"Too many: {len(endpoints)}: must have at most {_MOST_ENDPOINTS} items",
                "endpoints",
            )
        )
    for index, endpoint in enumerate(endpoints):
        path, addresses = f"endpoints[{index}].addresses", endpoint.get("addresses") or []
        if not addresses:
            causes.append(required(path, "must contain at least 1 address"))
        if len(addresses) > _MOST_ADDRESSES:
            causes.append(
                Cause(
                    "FieldValueTooMany", f"Too many: {len(addresses)}: must have at most {_MOST_ADDRESSES} items", path
                )
            )
        causes += [
            cause for place, item in enumerate(addresses) for cause in _check_address(f"{path}[{place}]", kind, item)
        ]
    for index, port in enumerate(body.get("ports") or ()):
        causes += one_of(f"ports[{index}].protocol", port.get("protocol"), PROTOCOLS)
        if port.get("name"):
            causes += check_name("label", f"ports[{index}].name", port["name"])
    return causes


def check_endpoint_slice_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed EndpointSlice: its type of addresses is immutable."""
    kind = body.get("addressType")
    return [] if kind == old.get("addressType") else [invalid("addressType", kind, _IMMUTABLE)]


def _check_address(path: str, kind: Any, address: str) -> list[Cause]:
    if kind == "FQDN":
        return check_name("subdomain", path, address)
    version = {"IPv4": 4, "IPv6": 6}.get(kind)
    try:
        if version is None or ipaddress.ip_address(address).version == version:
            return []
    except ValueError:
        return [invalid(path, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return [invalid(path, address, f"must be an {kind} address")]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
