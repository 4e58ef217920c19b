"""Rules of Services.

Source: Kubernetes ``ValidateService``.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from cloudcore.apiserver.kinds.services import needs_external_traffic, needs_health_port
from cloudcore.apiserver.validation.containers import PROTOCOLS, check_target_port
from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_labels, check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_TYPES: Final = frozenset({"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"})
_AFFINITIES: Final = frozenset({"ClientIP", "None"})
_FAMILIES: Final = frozenset({"IPv4", "IPv6"})
_FAMILY_POLICIES: Final = frozenset({"PreferDualStack", "RequireDualStack", "SingleStack"})
_SINGLE_STACK: Final = "this cluster is not configured for dual-stack services"
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
    return causes + _check_address(spec) + _check_families(spec) + _check_ports(ports) + _check_by_type(spec)


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
    if address == "None" and spec.get("type") in {"LoadBalancer", "NodePort"}:
        why = f"may not be set to 'None' for {spec['type']} services"
        return [invalid("spec.clusterIPs[0]", many or [address], why)]
    if len(many) > 1:
        return [invalid("spec.clusterIPs", many, f"may only hold up to 1 values: {_SINGLE_STACK}")]
    if not address or address == "None":
        return []
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return [invalid("spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def _check_families(spec: Body) -> list[Cause]:
    """Return what is wrong with the address families: a cluster of this server has IPv4 addresses."""
    policy, families = spec.get("ipFamilyPolicy"), spec.get("ipFamilies") or []
    if spec.get("type") == "ExternalName":
        why = "may not be set for ExternalName services"
        return [forbidden(f"spec.{name}", why) for name in ("ipFamilies", "ipFamilyPolicy") if spec.get(name)]
    causes = one_of("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES) if policy else []
    if policy == "RequireDualStack":
        causes.append(invalid("spec.ipFamilyPolicy", policy, _SINGLE_STACK))
    for index, family in enumerate(families):
        path = f"spec.ipFamilies[{index}]"
        wrong = one_of(path, family, _FAMILIES)
        causes += wrong or ([] if family == "IPv4" else [invalid(path, family, "not configured on this cluster")])
    return causes


def _check_by_type(spec: Body) -> list[Cause]:
    """Return what a Service states that its type does not have."""
    type_, causes = spec.get("type"), []
    if type_ == "ClusterIP":
        why = "may not be used when `type` is 'ClusterIP'"
        ports = enumerate(spec.get("ports") or ())
        causes += [forbidden(f"spec.ports[{index}].nodePort", why) for index, port in ports if port.get("nodePort")]
    if spec.get("externalTrafficPolicy") and not needs_external_traffic(spec):
        why = "may only be set for externally-accessible services"
        causes.append(invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], why))
    if spec.get("healthCheckNodePort") and not needs_health_port(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(invalid("spec.healthCheckNodePort", spec["healthCheckNodePort"], why))
    for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec.get(name) is not None and type_ != "LoadBalancer":
            causes.append(forbidden(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'"))
    return causes


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
