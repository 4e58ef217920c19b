"""Rules of roles and role bindings.

Source: Kubernetes ``pkg/apis/rbac/validation``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.defaults.policies import RBAC_GROUP
from cloudcore.apiserver.validation.fields import invalid, not_supported, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_SUBJECTS: Final = frozenset({"Group", "ServiceAccount", "User"})


def check_role(body: Body) -> list[Cause]:
    """Return what is wrong with a Role."""
    return _check_rules(body, namespaced=True)


def check_cluster_role(body: Body) -> list[Cause]:
    """Return what is wrong with a ClusterRole."""
    causes = _check_rules(body, namespaced=False)
    aggregation = body.get("aggregationRule")
    if aggregation is not None:
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            causes.append(required("aggregationRule.clusterRoleSelectors", "at least one clusterRoleSelector required"))
        for index, selector in enumerate(selectors):
            causes += check_label_selector(f"aggregationRule.clusterRoleSelectors[{index}]", selector)
    return causes


def _check_rules(body: Body, *, namespaced: bool) -> list[Cause]:
    causes = []
    for index, rule in enumerate(body.get("rules") or ()):
        path, urls = f"rules[{index}]", rule.get("nonResourceURLs") or []
        if not rule.get("verbs"):
            causes.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if urls and namespaced:
            why = "namespaced rules cannot apply to non-resource URLs"
            causes.append(invalid(f"{path}.nonResourceURLs", urls, why))
        elif urls and (rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames")):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(invalid(f"{path}.nonResourceURLs", urls, why))
        elif not urls and not rule.get("apiGroups"):
            causes.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        elif not urls and not rule.get("resources"):
            causes.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def check_account_rules(body: Body) -> list[Cause]:
    """Return what is wrong with a ServiceAccountRules: devices act on these as they are."""
    parts = body.get("namespaces") or []
    if not isinstance(parts, list) or not all(isinstance(each, dict) and each.get("namespace") for each in parts):
        return [invalid("namespaces", parts, "must be a list of namespaces with rules")]
    for path, part in (("", body), *((f"namespaces[{index}].", part) for index, part in enumerate(parts))):
        rules = part.get("rules") or []
        if not isinstance(rules, list) or not all(map(_is_rule, rules)):
            return [invalid(f"{path}rules", rules, "must be a list of rules, whose values are lists of text")]
    return []


def _is_rule(rule: object) -> bool:
    return isinstance(rule, dict) and all(
        isinstance(values, list) and all(isinstance(value, str) for value in values) for values in rule.values()
    )


def check_role_binding(body: Body) -> list[Cause]:
    """Return what is wrong with a RoleBinding."""
    return _check_binding(body, frozenset({"ClusterRole", "Role"}))


def check_cluster_role_binding(body: Body) -> list[Cause]:
    """Return what is wrong with a ClusterRoleBinding."""
    return _check_binding(body, frozenset({"ClusterRole"}))


def _check_binding(body: Body, roles: frozenset[str]) -> list[Cause]:
    reference = body.get("roleRef") or {}
    causes = []
    if reference.get("apiGroup") != RBAC_GROUP:
        causes.append(not_supported("roleRef.apiGroup", reference.get("apiGroup"), (RBAC_GROUP,)))
    causes += one_of("roleRef.kind", reference.get("kind"), roles)
    name = reference.get("name", "")
    causes += check_name("path", "roleRef.name", name) if name else [required("roleRef.name")]
    for index, subject in enumerate(body.get("subjects") or ()):
        causes += _check_subject(f"subjects[{index}]", subject)
    return causes


def _check_subject(path: str, subject: Body) -> list[Cause]:
    kind, name, group = subject.get("kind"), subject.get("name", ""), subject.get("apiGroup", "")
    causes = one_of(f"{path}.kind", kind, _SUBJECTS)
    if not name:
        causes.append(required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            causes += check_name("subdomain", f"{path}.name", name)
        if group:
            causes.append(not_supported(f"{path}.apiGroup", group, ("",)))
        if not subject.get("namespace"):
            causes.append(required(f"{path}.namespace"))
    elif kind in _SUBJECTS and group != RBAC_GROUP:
        causes.append(not_supported(f"{path}.apiGroup", group, (RBAC_GROUP,)))
    return causes


def check_role_kept(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed binding: the role it binds is immutable."""
    if body.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid("roleRef", body.get("roleRef"), "cannot change roleRef")]
