"""Defaults of limits, of network objects, of role bindings and of webhooks.

Source: Kubernetes ``SetDefaults_*`` of the kinds' groups.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body

RBAC_GROUP: Final = "rbac.authorization.k8s.io"


def default_limit_range(body: Body) -> None:
    """Derive a LimitRange's defaults for containers: from the maximum, requests from the limits, then the minimum."""
    for item in (body.setdefault("spec", {})).get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        item["default"], item["defaultRequest"] = limits, requests


def default_network_policy(body: Body) -> None:
    """Fill the protocols of a NetworkPolicy's ports, and which directions it is about."""
    spec = body.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")


def default_ingress_class(body: Body) -> None:
    """Fill the scope of an IngressClass's parameters."""
    parameters = (body.get("spec") or {}).get("parameters")
    if parameters:
        parameters.setdefault("scope", "Cluster")


def default_endpoint_slice(body: Body) -> None:
    """Fill the ports of an EndpointSlice."""
    for port in body.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def default_binding(body: Body) -> None:
    """Fill the API groups of a role binding's role and subjects."""
    if isinstance(body.get("roleRef"), dict) and not body["roleRef"].get("apiGroup"):
        body["roleRef"]["apiGroup"] = RBAC_GROUP
    for subject in body.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"}:
            subject.setdefault("apiGroup", RBAC_GROUP)


def default_webhooks(body: Body) -> None:
    """Fill the absent fields of a webhook configuration."""
    for webhook in body.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        for rule in webhook.get("rules") or ():
            rule.setdefault("scope", "*")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service:
            service.setdefault("port", 443)


def default_mutating_webhooks(body: Body) -> None:
    """Fill the absent fields of a mutating webhook configuration."""
    default_webhooks(body)
    for webhook in body.get("webhooks") or ():
        webhook.setdefault("reinvocationPolicy", "Never")
