"""Rules of admission policies and of APIServices.

Source: Kubernetes ``pkg/apis/admissionregistration/validation``, and kube-aggregator's ``pkg/apis/apiregistration``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.validation.fields import invalid, not_supported, one_of, required
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_ACTIONS: Final = frozenset({"Audit", "Deny", "Warn"})
_FAILURE_POLICIES: Final = frozenset({"Fail", "Ignore"})
_MAX_GROUP_PRIORITY: Final = 20_000
_MAX_VERSION_PRIORITY: Final = 1_000


def check_admission_policy(body: Body) -> list[Cause]:
    """Return what is wrong with a ValidatingAdmissionPolicy."""
    spec = body.get("spec") or {}
    causes = one_of("spec.failurePolicy", spec.get("failurePolicy"), _FAILURE_POLICIES)
    constraints = spec.get("matchConstraints")
    if constraints is None:
        causes.append(required("spec.matchConstraints"))
    elif not constraints.get("resourceRules"):
        causes.append(required("spec.matchConstraints.resourceRules"))
    kind = spec.get("paramKind")
    if kind is not None:
        causes += [required(f"spec.paramKind.{name}") for name in ("apiVersion", "kind") if not kind.get(name)]
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        why = "validations or auditAnnotations must contain at least one item"
        causes += [required(f"spec.{name}", why) for name in ("validations", "auditAnnotations")]
    for index, validation in enumerate(spec.get("validations") or ()):
        if not str(validation.get("expression", "")).strip():
            causes.append(required(f"spec.validations[{index}].expression", "expression is not specified"))
    return causes


def check_admission_binding(body: Body) -> list[Cause]:
    """Return what is wrong with a ValidatingAdmissionPolicyBinding."""
    spec = body.get("spec") or {}
    causes = [] if spec.get("policyName") else [required("spec.policyName")]
    actions = spec.get("validationActions") or []
    if not actions:
        causes.append(required("spec.validationActions", "at least one validation action is required"))
    causes += [
        not_supported(f"spec.validationActions[{index}]", action, _ACTIONS)
        for index, action in enumerate(actions)
        if action not in _ACTIONS
    ]
    if {"Deny", "Warn"} <= set(actions):
        why = "must not contain both Deny and Warn (repeating the same validation failure information in the API"
        causes.append(invalid("spec.validationActions", actions, f"{why} response and headers serves no purpose)"))
    return causes


def check_api_service(body: Body) -> list[Cause]:
    """Return what is wrong with an APIService."""
    spec, name = body.get("spec") or {}, body["metadata"].get("name", "")
    expected = f"{spec.get('version', '')}.{spec.get('group', '')}"
    causes = []
    if name != expected:
        causes.append(invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{expected}"'))
    if not spec.get("version"):
        causes.append(required("spec.version"))
    for field, most in (("groupPriorityMinimum", _MAX_GROUP_PRIORITY), ("versionPriority", _MAX_VERSION_PRIORITY)):
        value = spec.get(field, 0)
        if not 0 < value <= most:
            causes.append(invalid(f"spec.{field}", value, f"must be positive and less than {most}"))
    service = spec.get("service")
    if service is None:
        return causes
    causes += [required(f"spec.service.{part}") for part in ("namespace", "name") if not service.get(part)]
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        why = "may not be true if caBundle is present"
        causes.append(invalid("spec.insecureSkipTLSVerify", True, why))
    return causes
