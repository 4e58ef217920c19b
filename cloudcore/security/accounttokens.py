"""Service-account tokens: what they claim, for whom and how long. Sans-IO but for the signature's arithmetic.

Source: Kubernetes ``pkg/serviceaccount`` (claims.go, legacy.go). Times are seconds since the epoch, passed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudcore.security.accountkeys import ALGORITHM, AccountKeys, InvalidToken
from protocol.objects.keys import Uid

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER: Final = "kubernetes/serviceaccount"
"""Issuer of the tokens in Secrets, which do not expire."""

ACCOUNT_USER_PREFIX: Final = "system:serviceaccount:"
ACCOUNTS_GROUP: Final = "system:serviceaccounts"

_PRIVATE: Final = "kubernetes.io"
_LEGACY: Final = "kubernetes.io/serviceaccount"
_LEEWAY_S: Final = 60.0
"""A token may seem to come from the future by so much: clocks of replicas differ."""


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Whose tokens this cloud's are.

    Attributes:
        keys: What signs them.
        name: The issuer, ``iss``.
        audiences: Whom a token is for that names nobody: this API.
        api_url: Where this API can be reached, for those who check tokens themselves.
    """

    keys: AccountKeys
    name: str = ISSUER
    audiences: tuple[str, ...] = (ISSUER,)
    api_url: str = ""

    @property
    def configuration(self) -> dict[str, Any]:
        """The issuer's discovery document (OpenID Connect Discovery 1.0, 4.2)."""
        return {
            "issuer": self.name,
            "jwks_uri": f"{self.api_url}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """An object of a certain uid."""

    name: str
    uid: Uid


@dataclass(frozen=True, slots=True)
class AccountClaims:
    """What a token says.

    Attributes:
        namespace: The account's namespace.
        account: The account.
        audiences: Whom it is for.
        issued_at: When it was made.
        expires_at: When it ends; None for those in Secrets.
        id: Names this token.
        pod: The pod it dies with.
        secret: The Secret it dies with.
        node: The node of the pod, or the node it dies with where there is no pod.
    """

    namespace: str
    account: Reference
    audiences: tuple[str, ...] = ()
    issued_at: float = 0.0
    expires_at: float | None = None
    id: str = ""
    pod: Reference | None = None
    secret: Reference | None = None
    node: Reference | None = None

    @property
    def username(self) -> str:
        """The user's name."""
        return account_username(self.namespace, self.account.name)

    @property
    def extra(self) -> dict[str, tuple[str, ...]]:
        """What the user's ``extra`` says of the token."""
        said: dict[str, str] = {}
        if self.id:
            said["credential-id"] = f"JTI={self.id}"
        for name, reference in (("node", self.node), ("pod", self.pod)):
            if reference is not None:
                said[f"{name}-name"], said[f"{name}-uid"] = reference.name, reference.uid
        return {f"authentication.kubernetes.io/{name}": (value,) for name, value in said.items()}


def account_username(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{ACCOUNT_USER_PREFIX}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups that a service account is in, besides those of everyone."""
    return (ACCOUNTS_GROUP, f"{ACCOUNTS_GROUP}:{namespace}")


def account_of(username: str) -> tuple[str, str] | None:
    """Return namespace and name of the account that a user name stands for; None where it is none."""
    if not username.startswith(ACCOUNT_USER_PREFIX):
        return None
    namespace, colon, name = username.removeprefix(ACCOUNT_USER_PREFIX).partition(":")
    return (namespace, name) if colon and namespace and name and ":" not in name else None


def mint(issuer: TokenIssuer, claims: AccountClaims) -> str:
    """Return a signed token; without an ``expires_at`` it has ended already."""
    bound = {"pod": claims.pod, "secret": claims.secret, "node": claims.node}
    private: dict[str, Any] = {"namespace": claims.namespace, "serviceaccount": _written(claims.account)}
    private |= {name: _written(reference) for name, reference in bound.items() if reference is not None}
    return issuer.keys.sign(
        {
            "aud": list(claims.audiences),
            "exp": int(claims.expires_at or 0),
            "iat": int(claims.issued_at),
            "iss": issuer.name,
            "jti": claims.id,
            _PRIVATE: private,
            "nbf": int(claims.issued_at),
            "sub": claims.username,
        }
    )


def mint_legacy(keys: AccountKeys, claims: AccountClaims) -> str:
    """Return the signed token of a Secret of type ``kubernetes.io/service-account-token``."""
    assert claims.secret is not None, "such a token is bound to its Secret"
    return keys.sign(
        {
            "iss": LEGACY_ISSUER,
            f"{_LEGACY}/namespace": claims.namespace,
            f"{_LEGACY}/secret.name": claims.secret.name,
            f"{_LEGACY}/service-account.name": claims.account.name,
            f"{_LEGACY}/service-account.uid": claims.account.uid,
            "sub": claims.username,
        }
    )


def read(issuer: TokenIssuer, token: str) -> AccountClaims:
    """Return what a token claims, its signature and issuer checked. Audience, times and bindings are not.

    Raises:
        InvalidToken: It is no token of this cloud.
    """
    payload = issuer.keys.verify(token)
    try:
        claims = _read_legacy(payload) if payload.get("iss") == LEGACY_ISSUER else _read(payload, issuer.name)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidToken("the token's claims are not those of a service account") from error
    if payload.get("sub") != claims.username:
        raise InvalidToken("the token's subject is not its service account")
    return claims


def check_times(claims: AccountClaims, now: float) -> None:
    """Check that the token is good at ``now``.

    Raises:
        InvalidToken: It has expired, or is not good yet.
    """
    if claims.expires_at is not None and now >= claims.expires_at:
        raise InvalidToken("the token has expired")
    if now < claims.issued_at - _LEEWAY_S:
        raise InvalidToken("the token is not valid yet")


def check_audience(claims: AccountClaims, accepted: Sequence[str]) -> tuple[str, ...]:
    """Return those of the token's audiences that are accepted; a token in a Secret is for every audience.

    Raises:
        InvalidToken: It is for others.
    """
    if claims.expires_at is None:
        return tuple(accepted)
    common = tuple(audience for audience in accepted if audience in claims.audiences)
    if not common:
        raise InvalidToken(
            f"token audiences {_quoted(claims.audiences)} is invalid for the target audiences {_quoted(accepted)}"
        )
    return common


def _read(payload: Mapping[str, Any], issuer: str) -> AccountClaims:
    if payload.get("iss") != issuer:
        raise InvalidToken("the token is of another issuer")
    private, audiences = payload[_PRIVATE], payload["aud"]
    if not isinstance(private, dict):
        raise TypeError("not an object")
    listed = [audiences] if isinstance(audiences, str) else list(audiences)
    pod, secret, node = (_reference(private.get(name)) for name in ("pod", "secret", "node"))
    return AccountClaims(
        str(private["namespace"]),
        _reference(private["serviceaccount"]) or _no_account(),
        tuple(map(str, listed)),
        float(payload["iat"]),
        float(payload["exp"]),
        str(payload.get("jti", "")),
        pod,
        secret,
        node,
    )


def _read_legacy(payload: Mapping[str, Any]) -> AccountClaims:
    names = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    namespace, secret, account, uid = (str(payload[f"{_LEGACY}/{name}"]) for name in names)
    return AccountClaims(namespace, Reference(account, Uid(uid)), secret=Reference(secret, Uid("")))


def _reference(said: Any) -> Reference | None:
    return None if said is None else Reference(str(said["name"]), Uid(str(said["uid"])))


def _no_account() -> Reference:
    raise KeyError("serviceaccount")


def _written(reference: Reference) -> dict[str, str]:
    return {"name": reference.name, "uid": reference.uid}


def _quoted(audiences: Sequence[str]) -> str:
    return "[" + " ".join(f'"{audience}"' for audience in audiences) + "]"
