"""Who shows a service account's token. Sans-IO.

A token is good while its signature, issuer, audience and times are, and while what it was made for is there: its
service account, and the pod, Secret or node it is bound to, each with the uid it had then. Signatures are checked
once and remembered; everything that can change is looked at with each request.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cloudcore.apiserver.http.authn import AUTHENTICATED, Credentials, User
from cloudcore.security.accountkeys import InvalidToken
from cloudcore.security.accounttokens import (
    AccountClaims,
    Reference,
    TokenIssuer,
    account_groups,
    check_audience,
    check_times,
    read,
)
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from protocol.objects.times import parse_timestamp

Lookup = Callable[[ObjectKey], Body | None]
"""Returns an object as it is now, or None where there is none."""

ACCOUNT_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"
_REMEMBERED: Final = 4096
_GOING_S: Final = 60.0
"""A token outlives the beginning of its object's deletion by so much, so that a pod can clean up after itself."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a token stands for.

    Attributes:
        user: Who shows it.
        audiences: Those of the accepted audiences that it is for.
    """

    user: User
    audiences: tuple[str, ...]


class AccountAuthenticator:
    """Authenticates bearer tokens of service accounts.

    Args:
        issuer: Whose tokens are good.
        lookup: Finds service accounts, pods, Secrets and nodes.
        now: The wall clock, seconds since the epoch.
    """

    def __init__(self, issuer: TokenIssuer, lookup: Lookup, now: Callable[[], float]) -> None:
        self._issuer = issuer
        self._lookup = lookup
        self._now = now
        self._read: OrderedDict[bytes, AccountClaims] = OrderedDict()

    def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user of the ``Authorization`` header's token; None without one, or with one that is not good."""
        scheme, _, token = credentials.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        try:
            return self.review(token.strip(), ()).user
        except InvalidToken:
            return None

    def review(self, token: str, audiences: Sequence[str]) -> Review:
        """Return what a token stands for.

        Args:
            token: The token.
            audiences: Whom it may be for; none stands for this API.

        Raises:
            InvalidToken: It is not good.
        """
        claims = self._claims(token)
        check_times(claims, self._now())
        common = check_audience(claims, audiences or self._issuer.audiences)
        self._check_account(claims)
        self._check_bound(claims, token)
        groups = (*account_groups(claims.namespace), AUTHENTICATED)
        return Review(User(claims.username, groups, claims.account.uid, claims.extra), common)

    def _claims(self, token: str) -> AccountClaims:
        digest = sha256(token.encode(errors="replace")).digest()
        claims = self._read.get(digest)
        if claims is None:
            claims = self._read[digest] = read(self._issuer, token)
            if len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(digest)
        return claims

    def _check_account(self, claims: AccountClaims) -> None:
        self._check(ObjectKey(SERVICE_ACCOUNTS, claims.namespace, claims.account.name), claims.account)

    def _check_bound(self, claims: AccountClaims, token: str) -> None:
        if claims.secret is not None:
            key = ObjectKey(SECRETS, claims.namespace, claims.secret.name)
            if claims.expires_at is None:
                self._check_secret(key, token)
            else:
                self._check(key, claims.secret)
        if claims.pod is not None:
            # Its node may come and go while the pod is there.
            self._check(ObjectKey(PODS, claims.namespace, claims.pod.name), claims.pod)
        elif claims.node is not None:
            self._check(ObjectKey(NODES, "", claims.node.name), claims.node)

    def _check(self, key: ObjectKey, reference: Reference) -> None:
        body = self._lookup(key)
        if body is None:
            raise InvalidToken(f"the token's {key.resource} {key.name!r} is not there")
        metadata = body["metadata"]
        if metadata.get("uid") != reference.uid:
            raise InvalidToken(f"the token was made for another {key.resource} of the name {key.name!r}")
        deleted_at = metadata.get("deletionTimestamp")
        if deleted_at and parse_timestamp(deleted_at) + _GOING_S < self._now():
            raise InvalidToken(f"the token's {key.resource} {key.name!r} is being deleted")

    def _check_secret(self, key: ObjectKey, token: str) -> None:
        secret = self._lookup(key)
        if secret is None or secret["metadata"].get("deletionTimestamp"):
            raise InvalidToken("the token's Secret is not there")
        if not holds_token(secret, token):
            raise InvalidToken("the token's Secret holds another token")


def holds_token(secret: Body, token: str) -> bool:
    """Tell whether a Secret holds this very token."""
    try:
        held = base64.b64decode((secret.get("data") or {}).get("token", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(held, token.encode(errors="replace"))
