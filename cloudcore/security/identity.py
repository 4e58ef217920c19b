"""Node identities: names, certificate subjects, and what a Node object pins at join."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body, NodeName
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, NODE_USER_PREFIX, NODES_GROUP

MAX_NODE_NAME: Final = 64 - len(NODE_USER_PREFIX)
"""An X.509 common name holds 64 characters."""
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


class IdentityError(AiokubeedgeError):
    """A name or certificate that no node can have; the message is one line."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a verified certificate says the peer is.

    Attributes:
        node: The node's name.
        certificate: SHA-256 of the certificate's DER, hex.
    """

    node: NodeName
    certificate: str


@dataclass(frozen=True, slots=True)
class Pins:
    """What a Node object holds its agent to; empty strings where it has not joined.

    Attributes:
        instance_id: Minted by the agent, once per data folder.
        certificate: SHA-256 of the DER of the one certificate that is good, hex.
    """

    instance_id: str
    certificate: str

    @classmethod
    def of(cls, node: Body) -> Pins:
        """Read the pins of a Node object."""
        annotations = node["metadata"].get("annotations") or {}
        return cls(annotations.get(INSTANCE_ID, ""), annotations.get(CERTIFICATE, ""))


def check_node_name(name: str) -> NodeName:
    """Return ``name`` as a node's name.

    Raises:
        IdentityError: It is no DNS subdomain (RFC 1123) of at most 52 characters.
    """
    if len(name) > MAX_NODE_NAME:
        raise IdentityError(f"node name {name[:MAX_NODE_NAME]!r}… is longer than {MAX_NODE_NAME} characters")
    if not _SUBDOMAIN.match(name):
        raise IdentityError(f"{name!r} is no node name: lower-case letters, digits, '-' and '.' only")
    return NodeName(name)


def fingerprint(certificate_der: bytes) -> str:
    """Return the SHA-256 of a certificate's DER, hex, as the Node's annotation pins it."""
    return hashlib.sha256(certificate_der).hexdigest()


def identity_of(certificate_der: bytes) -> Identity:
    """Return the node that a certificate names; the caller's TLS layer has verified it.

    Raises:
        IdentityError: It is no node's certificate.
    """
    try:
        subject = x509.load_der_x509_certificate(certificate_der).subject
    except (ValueError, x509.InvalidVersion) as exc:
        raise IdentityError("the peer's certificate cannot be read") from exc
    return Identity(node_of_subject(subject), fingerprint(certificate_der))


def node_of_subject(subject: x509.Name) -> NodeName:
    """Return the node of an X.509 subject that is exactly ``CN=system:node:<name>, O=system:nodes``.

    Raises:
        IdentityError: It is anything else.
    """
    attributes = sorted((attribute.oid.dotted_string, str(attribute.value)) for attribute in subject)
    names = [value for oid, value in attributes if oid == NameOID.COMMON_NAME.dotted_string]
    expected = sorted(
        [
            (NameOID.ORGANIZATION_NAME.dotted_string, NODES_GROUP),
            (NameOID.COMMON_NAME.dotted_string, names[0] if names else ""),
        ]
    )
    if attributes != expected or not names[0].startswith(NODE_USER_PREFIX):
        raise IdentityError(f"subject {subject.rfc4514_string()!r} is not CN={NODE_USER_PREFIX}<node>, O={NODES_GROUP}")
    return check_node_name(names[0][len(NODE_USER_PREFIX) :])
