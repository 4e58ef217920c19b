"""Rules of Services.

Source: Kubernetes ``ValidateService``.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from cloudcore.apiserver.validation.containers import PROTOCOLS, check_target_port
from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_labels, check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_TYPES: Final = frozenset({"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"})
_AFFINITIES: Final = frozenset({"ClientIP", "None"})
_POLICIES: Final = frozenset({"Cluster", "Local"})


def check_service(body: Body) -> list[Cause]:
    """Return what is wrong with a Service."""
    spec = body["spec"]
    causes = one_of("spec.type", spec.get("type"), _TYPES)
    causes += one_of("spec.sessionAffinity", spec.get("sessionAffinity"), _AFFINITIES)
    for name in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if spec.get(name):
            causes += one_of(f"spec.{name}", spec[name], _POLICIES)
    ports, headless = spec.get("ports") or [], spec.get("clusterIP") == "None"
    if not ports and not headless and spec.get("type") != "ExternalName":
        causes.append(required("spec.ports"))
    if spec.get("type") == "ExternalName":
        name = spec.get("externalName")
        causes += (
            check_name("subdomain", "spec.externalName", name.rstrip(".")) if name else [required("spec.externalName")]
        )
    if spec.get("selector"):
        causes += check_labels("spec.selector", spec["selector"])
    return causes + _check_address(spec) + _check_ports(ports)


def check_service_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed Service: its address is immutable."""
    spec, before = body["spec"], old["spec"]
    if "ExternalName" in {spec.get("type"), before.get("type")}:
        return []
    address, kept = spec.get("clusterIP"), before.get("clusterIP")
    if kept and address != kept:
        return [invalid("spec.clusterIPs[0]", [address or ""], "may not change once set")]
    return []


def _check_address(spec: Body) -> list[Cause]:
    address, many = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if spec.get("type") == "ExternalName":
        return [forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")] if address else []
    if many and address != many[0]:
        return [invalid("spec.clusterIPs", many, "first value must match `clusterIP`")]
    if not address or address == "None":
        return []
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return [invalid("spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def _check_ports(ports: list[Body]) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    served: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path, name, number = f"spec.ports[{index}]", port.get("name", ""), port.get("port", 0)
        if not 1 <= number <= 65535:
            causes.append(invalid(f"{path}.port", number, "must be between 1 and 65535, inclusive"))
        causes += one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
        causes += check_target_port(f"{path}.targetPort", port.get("targetPort"))
        if name:
            causes += check_name("label", f"{path}.name", name)
        elif len(ports) > 1:
            causes.append(required(f"{path}.name"))
        if name and name in names:
            causes.append(duplicate(f"{path}.name", name))
        if (number, port.get("protocol")) in served:
            causes.append(duplicate(path, {"port": number, "protocol": port.get("protocol")}))
        names.add(name)
        served.add((number, port.get("protocol")))
    return causes
