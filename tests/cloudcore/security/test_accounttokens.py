from __future__ import annotations

from dataclasses import replace

import pytest

from cloudcore.security.accountkeys import InvalidToken
from cloudcore.security.accounttokens import (
    AccountClaims,
    Reference,
    TokenIssuer,
    account_of,
    check_audience,
    check_times,
    mint_legacy,
    read,
)
from protocol.objects.keys import Uid
from tests.support.accounttokens import CLAIMS, KEYS, NOW, a_token

ISSUER = TokenIssuer(KEYS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"audiences": ("a", "b")},
        {"pod": Reference("p", Uid("1")), "node": Reference("n", Uid("2"))},
        {"secret": Reference("s", Uid("3"))},
    ],
)
def test_what_was_claimed_is_read(changes: dict[str, object]) -> None:
    assert read(ISSUER, a_token(**changes)) == replace(CLAIMS, **changes)  # type: ignore[arg-type]


def test_the_claims_are_spelt_as_kubernetes_spells_them() -> None:
    token = a_token(pod=Reference("p", Uid("1")))
    assert KEYS.verify(token) == {
        "aud": ["https://kubernetes.default.svc.cluster.local"],
        "exp": int(NOW) + 600,
        "iat": int(NOW),
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": "id-1",
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": {"name": "robot", "uid": "u-robot"},
            "pod": {"name": "p", "uid": "1"},
        },
        "nbf": int(NOW),
        "sub": "system:serviceaccount:default:robot",
    }


def test_a_token_in_a_secret_is_read_too() -> None:
    claims = AccountClaims("default", Reference("robot", Uid("u")), secret=Reference("s", Uid("")))
    assert read(ISSUER, mint_legacy(KEYS, claims)) == claims


GOOD = KEYS.verify(a_token())


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere"},
        {"sub": "system:serviceaccount:default:other"},
        {"sub": "kubernetes-admin"},
        {"exp": None},
        {"exp": "never"},
        {"aud": 3},
        {"kubernetes.io": {}},
        {"kubernetes.io": "x"},
        {"kubernetes.io": {"namespace": "default", "serviceaccount": None}},
        {"kubernetes.io": {"namespace": "kube-system", "serviceaccount": {"name": "robot", "uid": "u-robot"}}},
        {"iss": "kubernetes/serviceaccount"},
    ],
)
def test_claims_that_do_not_fit_are_refused_even_when_signed(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidToken):
        read(ISSUER, KEYS.sign({**GOOD, **changes}))


@pytest.mark.parametrize(("now", "good"), [(NOW, True), (NOW + 599, True), (NOW + 600, False), (NOW - 30, True),
                                           (NOW - 90, False)])  # fmt: skip
def test_a_token_has_its_time(now: float, good: bool) -> None:
    if good:
        check_times(CLAIMS, now)
    else:
        with pytest.raises(InvalidToken):
            check_times(CLAIMS, now)


def test_a_token_is_for_its_audiences() -> None:
    claims = replace(CLAIMS, audiences=("a", "b"))
    assert check_audience(claims, ("x", "b")) == ("b",)
    with pytest.raises(InvalidToken, match=r'token audiences \["a" "b"\] is invalid for the target audiences \["x"\]'):
        check_audience(claims, ("x",))


@pytest.mark.parametrize(
    ("username", "account"),
    [
        ("system:serviceaccount:ns:name", ("ns", "name")),
        ("system:serviceaccount:ns", None),
        ("system:serviceaccount::name", None),
        ("system:serviceaccount:a:b:c", None),
        ("jane", None),
    ],
)
def test_which_account_a_user_name_stands_for(username: str, account: tuple[str, str] | None) -> None:
    assert account_of(username) == account
