"""What may be asked about users: ``kubectl auth can-i`` and ``whoami``, tokens. Nothing here is stored. Sans-IO.

Source: Kubernetes ``pkg/registry/authorization`` and ``pkg/registry/authentication``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cloudcore.apiserver.http.authn import MASTERS, User
from cloudcore.apiserver.http.authz import Attributes, Authorizer
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.rbac.rules import Rule, compacted
from cloudcore.errors import BadRequest, Cause, Invalid
from cloudcore.security.accountkeys import InvalidToken
from protocol.objects.keys import Body

AUTHORIZATION: Final = "authorization.k8s.io"
AUTHENTICATION: Final = "authentication.k8s.io"

REVIEW_KINDS = tuple(
    Kind(
        kind=kind,
        plural=f"{kind.lower()}s",
        group=group,
        namespaced=kind.startswith("Local"),
        schema=f"io.k8s.api.{group.partition('.')[0]}.v1.{kind}",
        verbs=("create",),
    )
    for kind, group in (
        ("SelfSubjectReview", AUTHENTICATION),
        ("TokenReview", AUTHENTICATION),
        ("LocalSubjectAccessReview", AUTHORIZATION),
        ("SelfSubjectAccessReview", AUTHORIZATION),
        ("SelfSubjectRulesReview", AUTHORIZATION),
        ("SubjectAccessReview", AUTHORIZATION),
    )
)

_ONE_OF: Final = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


class Reviewed(Protocol):
    """What a token stands for."""

    @property
    def user(self) -> User:
        """Who shows it."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """Those of the audiences asked for that it is for."""


TokenReviewer = Callable[[str, Sequence[str]], Reviewed]
"""Returns what a token stands for, for any of some audiences; raises ``InvalidToken``."""


class RuleSource(Protocol):
    """Lists what users may do."""

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Return the rules that ``user`` has in a namespace, and what is wrong with its bindings."""


class NoRules:
    """The source of a server without roles."""

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Return that administrators may do everything, and others nothing that is known here."""
        del namespace
        everything = [Rule(("*",), ("*",), ("*",)), Rule(("*",), paths=("*",))]
        return (everything, []) if MASTERS in user.groups else ([], [])


def no_tokens(_token: str, _audiences: Sequence[str]) -> Reviewed:
    """Refuse every token: the reviewer of a server that issues none.

    Raises:
        InvalidToken: Always.
    """
    raise InvalidToken("this server issues no tokens")


@dataclass(frozen=True, slots=True)
class Question:
    """A review that is asked for.

    Attributes:
        body: The review.
        user: Who asks.
        namespace: The namespace of its path; empty where it has none.
        authorizer: Decides what users may do.
        rules: Lists what users may do.
        tokens: Looks at tokens.
    """

    body: Body
    user: User
    namespace: str
    authorizer: Authorizer
    rules: RuleSource
    tokens: TokenReviewer


def self_access_review(question: Question) -> Body:
    """Answer a ``SelfSubjectAccessReview``: may I?

    Raises:
        Invalid: It asks about neither a resource nor a path, or about both.
    """
    return _decided(question, question.user, _attributes("SelfSubjectAccessReview", _spec(question.body)))


def access_review(question: Question) -> Body:
    """Answer a ``SubjectAccessReview``: may that user?

    Raises:
        Invalid: It names nobody, or asks about neither a resource nor a path, or about both.
    """
    spec = _spec(question.body)
    return _decided(question, _subject("SubjectAccessReview", spec), _attributes("SubjectAccessReview", spec))


def local_access_review(question: Question) -> Body:
    """Answer a ``LocalSubjectAccessReview``: may that user, in this namespace?

    Raises:
        Invalid: It asks about another namespace, or about a path.
    """
    kind, spec = "LocalSubjectAccessReview", _spec(question.body)
    attributes = _attributes(kind, spec)
    if attributes.path:
        raise _invalid(kind, "spec.nonResourceAttributes", "disallowed on this kind of request")
    if attributes.namespace != question.namespace:
        raise _invalid(kind, "spec.resourceAttributes.namespace", "must match metadata.namespace")
    return _decided(question, _subject(kind, spec), attributes)


def rules_review(question: Question) -> Body:
    """Answer a ``SelfSubjectRulesReview``: what may I, in that namespace?

    Raises:
        BadRequest: It names no namespace.
    """
    namespace = _spec(question.body).get("namespace")
    if not isinstance(namespace, str) or not namespace:
        raise BadRequest("no namespace on request")
    rules, errors = question.rules.rules_of(question.user, namespace)
    listed = compacted(rules)
    if question.user.node:
        errors = [*errors, "node authorizer does not support user rule resolution"]
    status: dict[str, Any] = {
        "resourceRules": [rule.body for rule in listed if not rule.paths],
        "nonResourceRules": [rule.body for rule in listed if rule.paths],
        "incomplete": bool(errors),
    }
    if errors:
        status["evaluationError"] = ", ".join(errors)
    return {**question.body, "status": status}


def self_review(question: Question) -> Body:
    """Answer a ``SelfSubjectReview``: who am I?"""
    return {**question.body, "status": {"userInfo": _user_info(question.user)}}


def token_review(question: Question) -> Body:
    """Answer a ``TokenReview``: whose token is that?

    Raises:
        BadRequest: It shows none.
    """
    spec = _spec(question.body)
    token, audiences = spec.get("token"), spec.get("audiences") or []
    if not isinstance(token, str) or not token:
        raise BadRequest("token is required for TokenReview in authentication")
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise _invalid("TokenReview", "spec.audiences", "must be a list of strings")
    try:
        review = question.tokens(token, audiences)
    except InvalidToken as error:
        return {**question.body, "status": {"error": f"invalid bearer token: {error}", "user": {}}}
    status = {"authenticated": True, "user": _user_info(review.user), "audiences": list(review.audiences)}
    return {**question.body, "status": status}


def _decided(question: Question, user: User, attributes: Attributes) -> Body:
    decision = question.authorizer.authorize(user, attributes)
    status: dict[str, Any] = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return {**question.body, "status": status}


def _spec(body: Body) -> Body:
    spec = body.get("spec", {})
    if not isinstance(spec, dict):
        raise BadRequest("the spec must be an object")
    return spec


def _attributes(kind: str, spec: Body) -> Attributes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) is (path is None):
        raise _invalid(kind, "spec.resourceAttributes", _ONE_OF)
    asked = path if resource is None else resource
    if not isinstance(asked, dict):
        raise _invalid(kind, "spec", "what is asked about must be an object")
    if resource is None:
        return Attributes(str(asked.get("verb") or ""), "", path=str(asked.get("path") or ""))
    names = ("verb", "resource", "group", "namespace", "name", "subresource")
    return Attributes(**{name: str(asked.get(name) or "") for name in names})


def _subject(kind: str, spec: Body) -> User:
    name, groups, extra = spec.get("user") or "", spec.get("groups") or [], spec.get("extra") or {}
    if not name and not groups:
        raise _invalid(kind, "spec.user", "at least one of user or group must be specified")
    if not isinstance(name, str) or not isinstance(groups, list) or not isinstance(extra, dict):
        raise _invalid(kind, "spec", "user must be a string, groups a list, extra an object")
    return User(name, tuple(map(str, groups)), str(spec.get("uid") or ""))


def _invalid(kind: str, field: str, why: str) -> Invalid:
    message = f"Invalid value: {why}"
    return Invalid(
        f'{kind}.{AUTHORIZATION} "" is invalid: {field}: {message}',
        details={"kind": kind, "group": AUTHORIZATION},
        causes=[Cause("FieldValueInvalid", message, field)],
    )


def _user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {name: list(values) for name, values in user.extra.items()}
    return info


Review = Callable[[Question], Body]

REVIEWERS: dict[str, Review] = {
    f"selfsubjectreviews.{AUTHENTICATION}": self_review,
    f"tokenreviews.{AUTHENTICATION}": token_review,
    f"localsubjectaccessreviews.{AUTHORIZATION}": local_access_review,
    f"selfsubjectaccessreviews.{AUTHORIZATION}": self_access_review,
    f"selfsubjectrulesreviews.{AUTHORIZATION}": rules_review,
    f"subjectaccessreviews.{AUTHORIZATION}": access_review,
}
