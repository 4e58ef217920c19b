"""Who is asking: the user of a verified client certificate.

The TLS layer has verified the certificate against the cluster's authority before anything here sees it. The
subject's common name is the user, its organisations are the groups, as Kubernetes has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from protocol.objects.wellknown import NODE_USER_PREFIX, NODES_GROUP

MASTERS = "system:masters"
CONTROLLERS = "system:controllers"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated user.

    Attributes:
        name: The user name: ``kubernetes-admin``, ``system:node:edge-1``.
        groups: Its groups, ``system:authenticated`` among them.
    """

    name: str
    groups: tuple[str, ...]

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
    """

    def __init__(self, superseded: Callable[[str, bytes], bool] | None = None) -> None:
        self._superseded = superseded

    def authenticate(self, credentials: Credentials) -> User | None:
        """Return the certificate's user; None without a certificate or with a superseded one."""
        user = user_of(credentials.certificate)
        if user is None or self._superseded is None or not user.node:
            return user
        der = credentials.der()
        return None if der is None or self._superseded(user.node, der) else user


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
