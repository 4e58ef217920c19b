"""What a user may ask about itself: ``kubectl auth can-i`` and ``whoami``. Nothing here is stored. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudcore.apiserver.http.authn import CONTROLLERS, MASTERS, User
from cloudcore.apiserver.http.authz import Attributes, Authorizer
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE

REVIEW_KINDS = tuple(
    Kind(kind=kind, plural=f"{kind.lower()}s", group=group, namespaced=False, verbs=("create",))
    for kind, group in (
        ("SelfSubjectAccessReview", "authorization.k8s.io"),
        ("SelfSubjectRulesReview", "authorization.k8s.io"),
        ("SelfSubjectReview", "authentication.k8s.io"),
    )
)
_ALL = ["*"]


def access_review(body: Body, user: User, authorizer: Authorizer) -> Body:
    """Answer a ``SelfSubjectAccessReview``.

    Raises:
        BadRequest: It asks about neither a resource nor a path.
    """
    spec = _spec(body)
    asked = spec.get("resourceAttributes")
    if isinstance(asked, dict):
        names = ("verb", "resource", "group", "namespace", "name", "subresource")
        attributes = Attributes(**{name: str(asked.get(name) or "") for name in names})
        decision = authorizer.authorize(user, attributes)
        status = {"allowed": decision.allowed, "reason": decision.reason}
    elif isinstance(spec.get("nonResourceAttributes"), dict):
        status = {"allowed": spec["nonResourceAttributes"].get("verb") == "get" or MASTERS in user.groups}
    else:
        raise BadRequest("spec must name resourceAttributes or nonResourceAttributes")
    return {**body, "status": status}


def rules_review(body: Body, user: User, _authorizer: Authorizer) -> Body:
    """Answer a ``SelfSubjectRulesReview`` with the rules of :mod:`.authz`, as a list."""
    _spec(body)
    resources = [_rule(["create"], ["authorization.k8s.io", "authentication.k8s.io"], _ALL)]
    if MASTERS in user.groups or CONTROLLERS in user.groups:
        resources = [_rule(_ALL, _ALL, _ALL)]
    elif user.node:
        resources += _node_rules(user.node)
    status = {
        "resourceRules": resources,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": _ALL}],
        "incomplete": bool(user.node),
    }
    if user.node:
        status["evaluationError"] = "what a node may read besides depends on its pods"
    return {**body, "status": status}


def self_review(body: Body, user: User, _authorizer: Authorizer) -> Body:
    """Answer a ``SelfSubjectReview``: who the caller is."""
    return {**body, "status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}


def _spec(body: Body) -> Body:
    spec = body.get("spec")
    if not isinstance(spec, dict):
        raise BadRequest("spec is required")
    return spec


def _rule(verbs: list[str], groups: list[str], resources: list[str], names: list[str] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    return rule | {"resourceNames": names} if names else rule


def _node_rules(node: str) -> list[dict[str, Any]]:
    return [
        _rule(["get", "list", "watch"], [""], ["nodes"], [node]),
        _rule(["get", "patch", "update"], [""], ["nodes/status"], [node]),
        _rule(["get", "patch", "update"], ["coordination.k8s.io"], ["leases"], [f"{node} ({NODE_LEASE_NAMESPACE})"]),
    ]


Review = Callable[[Body, User, Authorizer], Body]

REVIEWERS: dict[str, Review] = {
    "selfsubjectaccessreviews.authorization.k8s.io": access_review,
    "selfsubjectrulesreviews.authorization.k8s.io": rules_review,
    "selfsubjectreviews.authentication.k8s.io": self_review,
}
