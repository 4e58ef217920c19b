"""Service-account tokens and what they are bound to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cloudcore.apiserver.http.accountauthn import AccountAuthenticator
from cloudcore.security.accountkeys import AccountKeys
from cloudcore.security.accounttokens import ISSUER, AccountClaims, Reference, TokenIssuer, mint
from protocol.objects.keys import Body, ObjectKey, Uid

NOW = 1_800_000_000.0
KEYS = AccountKeys.create()
OTHER_KEYS = AccountKeys.create()
CLAIMS = AccountClaims("default", Reference("robot", Uid("u-robot")), (ISSUER,), NOW, NOW + 600, "id-1")


@dataclass
class Objects:
    """The objects that there are, and a clock."""

    now: float = NOW
    bodies: dict[ObjectKey, Body] = field(default_factory=dict)

    def put(self, resource: str, name: str, uid: str, namespace: str = "default", **more: object) -> ObjectKey:
        key = ObjectKey(resource, namespace, name)
        self.bodies[key] = {"metadata": {"name": name, "namespace": namespace, "uid": uid}, **more}
        return key

    def authenticator(self) -> AccountAuthenticator:
        return AccountAuthenticator(TokenIssuer(KEYS), self.bodies.get, lambda: self.now)


def with_robot() -> Objects:
    """Return objects among which is the account of :data:`CLAIMS`."""
    objects = Objects()
    objects.put("serviceaccounts", "robot", "u-robot")
    return objects


def a_token(keys: AccountKeys = KEYS, **changes: object) -> str:
    """Return a token of :data:`CLAIMS`, changed."""
    return mint(TokenIssuer(keys), replace(CLAIMS, **changes))  # type: ignore[arg-type]  # names of its fields
