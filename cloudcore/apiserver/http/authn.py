"""Who is asking: the user of a verified client certificate, or whoever another authenticator makes of a request.

The TLS layer has verified the certificate against the cluster's authority before anything here sees it. The
subject's common name is the user, its organisations are the groups, as Kubernetes has it. A connection may outlive
its certificate, so that the certificate's end is looked at with each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol

from protocol.objects.wellknown import NODE_USER_PREFIX, NODES_GROUP

MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
ANONYMOUS: Final = "system:anonymous"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated user.

    Attributes:
        name: The user name: ``kubernetes-admin``, ``system:node:edge-1``.
        groups: Its groups, ``system:authenticated`` among them.
        uid: Tells it from others that had its name before; empty where that is not known.
        extra: What else its credentials say.
    """

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def node(self) -> str:
        """The node this user is; empty where it is none."""
        if NODES_GROUP in self.groups and self.name.startswith(NODE_USER_PREFIX):
            return self.name.removeprefix(NODE_USER_PREFIX)
        return ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought.

    Attributes:
        certificate: The verified peer certificate as ``ssl.SSLSocket.getpeercert()`` shows it; empty where none.
        der: Returns the certificate's DER bytes (costs a copy, so only on demand); None where there is none.
        authorization: The ``Authorization`` header; empty where none.
    """

    certificate: Mapping[str, Any]
    der: Callable[[], bytes | None]
    authorization: str


class Authenticator(Protocol):
    """Turns credentials into a user."""

    def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user, or None where the credentials are missing or not (any longer) good."""


class CertificateAuthenticator:
    """Authenticates by client certificate.

    Args:
        superseded: Called with a node's name and its certificate's DER; True turns the request away: the node
            joined again since, or was deleted.
        now: The wall clock, seconds since the epoch; without it the handshake's look at the certificate's end is
            the only one.
    """

    def __init__(
        self, superseded: Callable[[str, bytes], bool] | None = None, now: Callable[[], float] | None = None
    ) -> None:
        self._superseded = superseded
        self._now = now

    def authenticate(self, credentials: Credentials) -> User | None:
        """Return the certificate's user; None without a certificate, or with one that has ended or is superseded."""
        if self._now is not None and _ends_at(credentials.certificate.get("notAfter", "")) <= self._now():
            return None
        user = user_of(credentials.certificate)
        if user is None or self._superseded is None or not user.node:
            return user
        der = credentials.der()
        return None if der is None or self._superseded(user.node, der) else user


@dataclass(frozen=True, slots=True)
class Authenticators:
    """Several authenticators; the first that knows the user says who it is.

    Attributes:
        each: In the order they are asked.
    """

    each: Sequence[Authenticator]

    def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user, or None where no authenticator knows it."""
        for authenticator in self.each:
            user = authenticator.authenticate(credentials)
            if user is not None:
                return user
        return None


@lru_cache(maxsize=1024)
def _ends_at(not_after: str) -> float:
    """Return when a certificate ends, seconds since the epoch; 0 where it does not say."""
    if not not_after:
        return 0.0
    return datetime.strptime(not_after, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()


def user_of(certificate: Mapping[str, Any]) -> User | None:
    """Return the user that a decoded certificate names, None where it names none."""
    name = ""
    groups = []
    for rdn in certificate.get("subject", ()):
        for attribute, value in rdn:
            if attribute == "commonName":
                name = value
            elif attribute == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED)) if name else None
