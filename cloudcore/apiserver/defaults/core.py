"""Defaults of the small kinds.

Source: Kubernetes ``SetDefaults_*`` of the kinds' groups.
"""

from __future__ import annotations

import base64

from protocol.objects.keys import Body


def default_namespace(body: Body) -> None:
    """Label a Namespace with its own name, so that selectors can name it."""
    name = body["metadata"].get("name")
    if name:
        body["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def default_node(body: Body) -> None:
    """Let a Node's allocatable be its capacity where it states only that."""
    body.setdefault("spec", {})
    status = body.get("status")
    if status and "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def default_secret(body: Body) -> None:
    """Fill a Secret's type and fold the write-only ``stringData`` into ``data``."""
    body.setdefault("type", "Opaque")
    plain = body.pop("stringData", None)
    if plain:
        data = body.setdefault("data", {})
        data.update({key: base64.b64encode(value.encode()).decode() for key, value in plain.items()})


def default_service(body: Body) -> None:
    """Fill the absent fields of a Service; its address is admission's matter."""
    spec = body.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    type_ = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in {None, "", 0}:
            port["targetPort"] = port.get("port")
    if spec["sessionAffinity"] == "ClientIP":
        affinity = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        affinity.setdefault("timeoutSeconds", 10_800)
    if type_ != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if type_ in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if type_ == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def default_endpoints(body: Body) -> None:
    """Fill the protocol of an Endpoints' ports."""
    for subset in body.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def default_priority_class(body: Body) -> None:
    """Fill a PriorityClass's value and preemption policy."""
    body.setdefault("value", 0)
    body.setdefault("preemptionPolicy", "PreemptLowerPriority")
