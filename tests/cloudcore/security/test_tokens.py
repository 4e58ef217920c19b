"""Tokens: their text, and who may redeem one."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.security.tokens import Claims, Redemption, TokenError, judge, mint, verify
from protocol.objects.keys import NodeName

NOW = 1_790_000_000.0
KEY = b"k" * 32
CA = "ab" * 32
CLAIMS = Claims("0" * 32, NodeName("edge-1"), NOW, NOW + 3600)
TOKEN = mint(CLAIMS, key=KEY, ca_fingerprint=CA)


def reason(text: str, *, now: float = NOW, key: bytes = KEY, ca: str = CA) -> str:
    with pytest.raises(TokenError) as caught:
        verify(text, key=key, ca_fingerprint=ca, now=now)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_token_says_what_was_put_in() -> None:
    assert verify(TOKEN, key=KEY, ca_fingerprint=CA, now=NOW) == CLAIMS
    assert verify(f"  {TOKEN}\n", key=KEY, ca_fingerprint=CA, now=NOW + 3599) == CLAIMS


def test_its_first_part_is_the_authoritys_fingerprint_and_the_rest_a_jwt() -> None:
    fingerprint, header, payload, signature = TOKEN.split(".")
    assert fingerprint == CA
    assert jwt.get_unverified_header(f"{header}.{payload}.{signature}")["alg"] == "HS256"


def test_it_expires() -> None:
    assert reason(TOKEN, now=NOW + 3600) == "TokenExpired"


def test_of_another_cloud() -> None:
    assert reason(TOKEN, ca="cd" * 32) == "TokenInvalid"
    assert reason(TOKEN, key=b"x" * 32) == "TokenInvalid"


def signed(payload: dict[str, object], *, algorithm: str = "HS256", key: bytes | str = KEY) -> str:
    return f"{CA}.{jwt.encode(payload, key, algorithm=algorithm)}"


@pytest.mark.parametrize(
    "payload",
    [
        {"sub": "edge-1", "jti": "0" * 32, "iat": NOW},
        {"jti": "0" * 32, "iat": NOW, "exp": NOW + 1},
        {"sub": "../etc", "jti": "0" * 32, "iat": NOW, "exp": NOW + 1},
        {"sub": "edge-1", "jti": "../../x", "iat": NOW, "exp": NOW + 1},
        {"sub": "edge-1", "jti": "0" * 32, "iat": "then", "exp": "later"},
    ],
)
def test_claims_that_are_not_acceptable(payload: dict[str, object]) -> None:
    assert reason(signed(payload)) == "TokenInvalid"


def test_a_token_without_a_signature_is_refused() -> None:
    payload: dict[str, object] = {"sub": "edge-1", "jti": "0" * 32, "iat": NOW, "exp": NOW + 1}
    assert reason(signed(payload, algorithm="none", key="")) in {"TokenMalformed", "TokenInvalid"}


@pytest.mark.parametrize(
    "text", ["", "x", CA, TOKEN[1:], TOKEN.rpartition(".")[0], TOKEN + ".x", "é" + TOKEN, "a" * 10_000]
)
def test_what_is_no_token(text: str) -> None:
    assert reason(text) == "TokenMalformed"


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_one_changed_character_is_noticed(index: int, character: str) -> None:
    changed = TOKEN[:index] + character + TOKEN[index + 1 :]
    try:
        claims = verify(changed, key=KEY, ca_fingerprint=CA, now=NOW)
    except TokenError:
        return
    # Base64 ignores the spare bits of a last character; nothing else may pass.
    assert claims == CLAIMS
    assert changed == TOKEN or index in {len(TOKEN) - 1}


def test_the_first_key_is_given_a_certificate_and_then_the_same_again() -> None:
    assert judge(CLAIMS, None, "key-1") is None
    assert judge(CLAIMS, Redemption("key-1", "PEM"), "key-1") == "PEM"


def test_a_second_key_is_refused() -> None:
    with pytest.raises(TokenError, match="used already") as caught:
        judge(CLAIMS, Redemption("key-1", "PEM"), "key-2")
    assert caught.value.reason == "TokenUsed"
