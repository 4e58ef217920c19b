"""Defaults of admission policies and of APIServices.

Source: Kubernetes ``admissionregistration/v1`` and ``apiregistration/v1`` ``SetDefaults_*``.
"""

from __future__ import annotations

from protocol.objects.keys import Body


def default_admission_policy(body: Body) -> None:
    """Fill the absent fields of a ValidatingAdmissionPolicy."""
    spec = body.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if isinstance(spec.get("matchConstraints"), dict):
        _default_match(spec["matchConstraints"])


def default_admission_binding(body: Body) -> None:
    """Fill the absent fields of a ValidatingAdmissionPolicyBinding."""
    spec = body.setdefault("spec", {})
    if isinstance(spec.get("matchResources"), dict):
        _default_match(spec["matchResources"])


def _default_match(match: Body) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for name in ("resourceRules", "excludeResourceRules"):
        for rule in match.get(name) or ():
            rule.setdefault("scope", "*")


def default_api_service(body: Body) -> None:
    """Fill the port of an APIService's service."""
    service = body.setdefault("spec", {}).get("service")
    if service:
        service.setdefault("port", 443)
