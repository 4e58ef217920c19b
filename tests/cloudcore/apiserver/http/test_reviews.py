from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cloudcore.apiserver.http.accountauthn import Review
from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.http.authz import Attributes, Decision
from cloudcore.apiserver.http.reviews import REVIEWERS, Question
from cloudcore.apiserver.rbac.rules import Rule
from cloudcore.errors import BadRequest, Invalid
from cloudcore.security.accountkeys import InvalidToken
from protocol.objects.keys import Body

JANE = User("jane", ("devs", "system:authenticated"), "7", {"scope": ("a", "b")})
LIST_PODS = {"verb": "list", "resource": "pods", "namespace": "shop"}


class Rights:
    """Lets jane list pods in ``shop`` and read ``/healthz``."""

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        allowed = {Attributes("list", "pods", namespace="shop"), Attributes("get", "", path="/healthz")}
        return Decision(user.name == "jane" and attributes in allowed, "because" if user.name == "jane" else "")

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        rules = [Rule(("list",), ("",), ("pods",)), Rule(("get",), ("",), ("pods",)), Rule(("get",), paths=("/x",))]
        return (rules, []) if (user.name, namespace) == ("jane", "shop") else ([], ["role x not found"])


def tokens(token: str, audiences: Sequence[str]) -> Review:
    if token != "good":
        raise InvalidToken("the token has expired")
    return Review(JANE, tuple(audiences) or ("api",))


def ask(resource: str, spec: Any, *, user: User = JANE, namespace: str = "") -> Body:
    group = "authentication" if resource in ("tokenreviews", "selfsubjectreviews") else "authorization"
    question = Question({"spec": spec}, user, namespace, Rights(), Rights(), tokens)
    answer = REVIEWERS[f"{resource}.{group}.k8s.io"](question)
    assert answer["spec"] == spec
    status: Body = answer["status"]
    return status


def test_may_i() -> None:
    assert ask("selfsubjectaccessreviews", {"resourceAttributes": LIST_PODS}) == {"allowed": True, "reason": "because"}
    health = {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}
    assert ask("selfsubjectaccessreviews", health)["allowed"]
    assert not ask("selfsubjectaccessreviews", {"resourceAttributes": {**LIST_PODS, "verb": "get"}})["allowed"]


def test_may_somebody_else() -> None:
    about_jane = {"user": "jane", "resourceAttributes": LIST_PODS}
    joe = User("joe", ())
    assert ask("subjectaccessreviews", about_jane, user=joe)["allowed"]
    assert ask("subjectaccessreviews", {**about_jane, "user": "joe"}) == {"allowed": False}
    assert ask("localsubjectaccessreviews", about_jane, user=joe, namespace="shop")["allowed"]


@pytest.mark.parametrize(
    ("resource", "spec"),
    [
        ("selfsubjectaccessreviews", {}),
        ("selfsubjectaccessreviews", {"resourceAttributes": LIST_PODS, "nonResourceAttributes": {}}),
        ("selfsubjectaccessreviews", {"resourceAttributes": "pods"}),
        ("subjectaccessreviews", {"resourceAttributes": LIST_PODS}),
        ("subjectaccessreviews", {"user": 3, "resourceAttributes": LIST_PODS}),
        ("subjectaccessreviews", {"user": "a", "groups": "b", "resourceAttributes": LIST_PODS}),
        ("localsubjectaccessreviews", {"user": "a", "resourceAttributes": LIST_PODS}),
        ("localsubjectaccessreviews", {"user": "a", "nonResourceAttributes": {"verb": "get", "path": "/x"}}),
        ("tokenreviews", {"token": "good", "audiences": "x"}),
    ],
)
def test_a_question_that_makes_no_sense_is_invalid(resource: str, spec: Any) -> None:
    with pytest.raises(Invalid):
        ask(resource, spec, namespace="other")


@pytest.mark.parametrize(
    ("resource", "spec"),
    [("selfsubjectrulesreviews", {}), ("tokenreviews", {}), ("tokenreviews", {"token": 3}), ("tokenreviews", "x")],
)
def test_a_question_that_lacks_what_it_is_about_is_bad(resource: str, spec: Any) -> None:
    with pytest.raises(BadRequest):
        ask(resource, spec)


def test_what_may_i() -> None:
    assert ask("selfsubjectrulesreviews", {"namespace": "shop"}) == {
        "resourceRules": [{"verbs": ["list", "get"], "apiGroups": [""], "resources": ["pods"]}],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}],
        "incomplete": False,
    }
    elsewhere = ask("selfsubjectrulesreviews", {"namespace": "other"})
    assert (elsewhere["incomplete"], elsewhere["evaluationError"]) == (True, "role x not found")


def test_who_am_i() -> None:
    info = {"username": "jane", "uid": "7", "groups": list(JANE.groups), "extra": {"scope": ["a", "b"]}}
    assert ask("selfsubjectreviews", None) == {"userInfo": info}


def test_whose_token_is_that() -> None:
    good = ask("tokenreviews", {"token": "good", "audiences": ["x"]})
    assert (good["authenticated"], good["user"]["username"], good["audiences"]) == (True, "jane", ["x"])
    assert ask("tokenreviews", {"token": "bad"}) == {
        "error": "invalid bearer token: the token has expired",
        "user": {},
    }
