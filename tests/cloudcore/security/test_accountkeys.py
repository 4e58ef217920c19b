from __future__ import annotations

import base64
import hmac
import json
import stat
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.security.accountkeys import AccountKeys, InvalidToken
from protocol.errors import UsageError
from tests.support.accounttokens import KEYS, OTHER_KEYS

CLAIMS = {"sub": "someone"}


def forged(header: dict[str, object], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_what_was_signed_is_read() -> None:
    assert KEYS.verify(KEYS.sign(CLAIMS)) == CLAIMS


def test_the_key_is_kept_private_and_the_same(tmp_path: Path) -> None:
    made = AccountKeys.load_or_create(tmp_path)
    assert AccountKeys.load_or_create(tmp_path).id == made.id
    assert stat.S_IMODE((tmp_path / "sa.key").stat().st_mode) == 0o600
    (tmp_path / "sa.key").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="cannot be used"):
        AccountKeys.load_or_create(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "sa.key").write_bytes(pem)
    with pytest.raises(UsageError, match="not ECDSA P-256"):
        AccountKeys.load(tmp_path / "sa.key")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "." * 10,
        "x" * 20_000,
        OTHER_KEYS.sign(CLAIMS),
        forged({"alg": "none"}),
        forged({"alg": "None", "kid": KEYS.id}),
        forged({"alg": "ES256", "kid": KEYS.id}),
        forged({"alg": "ES256", "kid": KEYS.id}, b"\0" * 64),
        forged({"alg": "ES256", "kid": ["x"]}),
        forged({"alg": "HS256", "kid": KEYS.id}, b"x" * 32),
        KEYS.sign(CLAIMS)[:-4] + "AAAA",
        KEYS.sign(CLAIMS) + ".x",
        "é" + KEYS.sign(CLAIMS),
    ],
)
def test_what_this_key_did_not_sign_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        KEYS.verify(token)


def test_the_public_key_is_no_shared_secret() -> None:
    """The old mistake: a token "signed" by HMAC with the bytes that everyone may have."""
    public = jwt.PyJWK(KEYS.jwks()["keys"][0]).key
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = forged({"alg": "HS256", "kid": KEYS.id}).rpartition(".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(pem, unsigned.encode(), "sha256")).rstrip(b"=").decode()
    token = f"{unsigned}.{signature}"
    with pytest.raises(InvalidToken):
        KEYS.verify(token)


def test_others_can_check_signatures_by_the_published_key() -> None:
    (published,) = KEYS.jwks()["keys"]
    assert (published["kid"], published["alg"]) == (KEYS.id, "ES256")
    assert jwt.decode(KEYS.sign(CLAIMS), jwt.PyJWK(published).key, algorithms=["ES256"]) == CLAIMS


SIGNED = KEYS.sign(CLAIMS)


@given(st.integers(0, len(SIGNED) - 3), st.sampled_from("AZaz09-_."))
def test_a_token_with_any_letter_changed_is_refused(at: int, letter: str) -> None:
    changed = SIGNED[:at] + letter + SIGNED[at + 1 :]
    if changed == SIGNED:
        return
    with pytest.raises(InvalidToken):
        KEYS.verify(changed)
