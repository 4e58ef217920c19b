"""Enrolment tokens: their text, their claims, and who may redeem one.

A token is ``<sha256 hex of the CA's DER>.<JWT>``, the JWT signed HS256 with a key derived from the CA's. It names
one node, lives for a while, and enrols one public key. Nothing here does I/O; ``now`` is seconds since the epoch.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import jwt

from cloudcore.security.identity import IdentityError, check_node_name
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import NodeName

ALGORITHM: Final = "HS256"
MAX_TOKEN_BYTES: Final = 4096
_SHAPE: Final = re.compile(r"([0-9a-f]{64})\.([\w-]+\.[\w-]+\.[\w-]+)\Z", re.ASCII)
_TOKEN_ID: Final = re.compile(r"[0-9a-f]{32}\Z")


class TokenError(AiokubeedgeError):
    """A token that does not enrol.

    Args:
        reason: One word of the table in ``docs/protocol.md``, "Enrolment".
        message: One line for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        id: 32 hex digits, random.
        node: The node it enrols.
        issued_at: Seconds since the epoch.
        expires_at: Seconds since the epoch.
    """

    id: str
    node: NodeName
    issued_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Redemption:
    """That a token was redeemed.

    Attributes:
        key: SHA-256 of the public key it was redeemed for, hex.
        certificate_pem: The certificate that was given for it.
    """

    key: str
    certificate_pem: str


def mint(claims: Claims, *, key: bytes, ca_fingerprint: str) -> str:
    """Return the text of a token that says ``claims``, signed with ``key``."""
    payload = {
        "sub": claims.node,
        "jti": claims.id,
        "iat": int(claims.issued_at),
        "exp": int(claims.expires_at),
    }
    return f"{ca_fingerprint}.{jwt.encode(payload, key, algorithm=ALGORITHM)}"


def verify(text: str, *, key: bytes, ca_fingerprint: str, now: float) -> Claims:
    """Return what the token ``text`` says, after checking form, signature and lifetime.

    Raises:
        TokenError: ``TokenMalformed``, ``TokenInvalid`` or ``TokenExpired``.
    """
    match = _SHAPE.match(text.strip()) if len(text) <= MAX_TOKEN_BYTES else None
    if match is None:
        raise TokenError("TokenMalformed", "this is not an enrolment token")
    if match[1] != ca_fingerprint:
        raise TokenError("TokenInvalid", "the token was made by another cloud")
    claims = _claims(_payload(match[2], key))
    if now >= claims.expires_at:
        raise TokenError("TokenExpired", f"the token expired {_ago(now - claims.expires_at)} ago")
    return claims


def judge(claims: Claims, redeemed: Redemption | None, key: str) -> str | None:
    """Decide whether the public key ``key`` may redeem a token.

    Args:
        claims: The verified token.
        redeemed: Its redemption so far, if any.
        key: SHA-256 of the public key that asks, hex.

    Returns:
        None to issue a certificate, or the certificate that this key was given before.

    Raises:
        TokenError: ``TokenUsed``: another key has redeemed it.
    """
    if redeemed is None:
        return None
    if redeemed.key != key:
        raise TokenError("TokenUsed", f"the token for node {claims.node} has been used already")
    return redeemed.certificate_pem


def _payload(encoded: str, key: bytes) -> dict[str, Any]:
    # Times are checked against the caller's clock, not the library's.
    options: dict[str, Any] = {
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "require": ["sub", "jti", "iat", "exp"],
    }
    try:
        payload: dict[str, Any] = jwt.decode(encoded, key, algorithms=[ALGORITHM], options=options)  # type: ignore[arg-type]  # a TypedDict, built dynamically
    except jwt.InvalidSignatureError as exc:
        raise TokenError("TokenInvalid", "the token was not signed by this cloud") from exc
    except jwt.DecodeError as exc:
        raise TokenError("TokenMalformed", "this is not an enrolment token") from exc
    except jwt.InvalidTokenError as exc:
        raise TokenError("TokenInvalid", f"the token is not acceptable: {exc}") from exc
    return payload


def _claims(payload: dict[str, Any]) -> Claims:
    try:
        claims = Claims(
            id=str(payload["jti"]),
            node=check_node_name(str(payload["sub"])),
            issued_at=float(payload["iat"]),
            expires_at=float(payload["exp"]),
        )
    except (TypeError, ValueError, OverflowError, IdentityError) as exc:
        raise TokenError("TokenInvalid", f"the token's claims are not acceptable: {exc}") from exc
    if not (math.isfinite(claims.issued_at) and math.isfinite(claims.expires_at)):
        raise TokenError("TokenInvalid", "the token's claims are not acceptable: iat, exp")
    if not _TOKEN_ID.match(claims.id):
        raise TokenError("TokenInvalid", "the token's claims are not acceptable: jti")
    return claims


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
