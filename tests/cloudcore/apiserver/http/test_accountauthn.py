from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from cloudcore.apiserver.http.authn import Credentials, User
from cloudcore.security.accountkeys import InvalidToken
from cloudcore.security.accounttokens import ISSUER, AccountClaims, Reference, mint_legacy
from protocol.objects.keys import ObjectKey, Uid
from protocol.objects.times import timestamp
from tests.support.accounttokens import KEYS, NOW, OTHER_KEYS, Objects, a_token, with_robot

ROBOT = ObjectKey("serviceaccounts", "default", "robot")
POD = ObjectKey("pods", "default", "p")
BOUND: dict[str, Any] = {"pod": Reference("p", Uid("u-pod")), "node": Reference("n", Uid("u-node"))}


def shown(objects: Objects, authorization: str) -> User | None:
    return objects.authenticator().authenticate(Credentials({}, lambda: None, authorization))


def test_a_good_token_is_its_account() -> None:
    user = shown(with_robot(), f"Bearer {a_token()}")
    assert user is not None
    assert (user.name, user.uid) == ("system:serviceaccount:default:robot", "u-robot")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    assert user.extra == {"authentication.kubernetes.io/credential-id": ("JTI=id-1",)}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer nonsense",
        f"Bearer {a_token(OTHER_KEYS)}",
        f"Bearer {a_token(audiences=('elsewhere',))}",
        f"Bearer {a_token(expires_at=NOW)}",
        f"Bearer {a_token(account=Reference('robot', Uid('u-before')))}",
        f"Bearer {a_token(account=Reference('gone', Uid('u-robot')))}",
        f"Bearer {a_token(namespace='kube-system')}",
    ],
)
def test_everything_else_is_nobody(authorization: str) -> None:
    assert shown(with_robot(), authorization) is None


def test_a_token_that_was_good_ends_with_its_time_and_its_account() -> None:
    objects = with_robot()
    authenticator = objects.authenticator()
    token = a_token()
    assert authenticator.review(token, ()).audiences == (ISSUER,)
    objects.now = NOW + 601
    with pytest.raises(InvalidToken, match="expired"):
        authenticator.review(token, ())
    objects.now = NOW + 1
    objects.put("serviceaccounts", "robot", "u-again")
    with pytest.raises(InvalidToken, match="another serviceaccounts"):
        authenticator.review(token, ())
    del objects.bodies[ROBOT]
    with pytest.raises(InvalidToken, match="not there"):
        authenticator.review(token, ())


def bound_to(field: str) -> str:
    bound: dict[str, Any] = {field: Reference("x", Uid("u-x"))}
    return a_token(**bound)


def removed(objects: Objects) -> None:
    del objects.bodies[POD]


def recreated(objects: Objects) -> None:
    objects.put("pods", "p", "u-next")


def going_for_long(objects: Objects) -> None:
    objects.bodies[POD]["metadata"]["deletionTimestamp"] = timestamp(NOW - 61)


@pytest.mark.parametrize("ending", [removed, recreated, going_for_long])
def test_a_token_ends_with_its_pod(ending: Callable[[Objects], None]) -> None:
    objects = with_robot()
    objects.put("pods", "p", "u-pod")
    authenticator, token = objects.authenticator(), a_token(**BOUND)
    extra = authenticator.review(token, ()).user.extra
    assert extra["authentication.kubernetes.io/pod-name"] == ("p",)
    assert extra["authentication.kubernetes.io/node-uid"] == ("u-node",)
    objects.bodies[POD]["metadata"]["deletionTimestamp"] = timestamp(NOW - 10)
    authenticator.review(token, ())  # a pod may clean up after itself
    ending(objects)
    with pytest.raises(InvalidToken):
        authenticator.review(token, ())


@pytest.mark.parametrize(("resource", "field", "namespace"), [("secrets", "secret", "default"), ("nodes", "node", "")])
def test_a_token_ends_with_its_secret_or_node(resource: str, field: str, namespace: str) -> None:
    objects = with_robot()
    key = objects.put(resource, "x", "u-x", namespace)
    authenticator, token = objects.authenticator(), bound_to(field)
    authenticator.review(token, ())
    objects.put(resource, "x", "u-y", namespace)
    with pytest.raises(InvalidToken):
        authenticator.review(token, ())
    del objects.bodies[key]
    with pytest.raises(InvalidToken):
        authenticator.review(token, ())


def test_a_token_in_a_secret_is_good_while_that_secret_holds_it() -> None:
    objects = with_robot()
    claims = AccountClaims("default", Reference("robot", Uid("u-robot")), secret=Reference("s", Uid("")))
    token = mint_legacy(KEYS, claims)
    authenticator = objects.authenticator()
    with pytest.raises(InvalidToken, match="not there"):
        authenticator.review(token, ())
    objects.put("secrets", "s", "u", data={"token": base64.b64encode(token.encode()).decode()})
    assert authenticator.review(token, ("any",)).audiences == ("any",)
    objects.put("secrets", "s", "u", data={"token": base64.b64encode(b"another").decode()})
    with pytest.raises(InvalidToken, match="another token"):
        authenticator.review(token, ())
