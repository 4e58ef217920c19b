"""Signs a node's certificate request, and nothing that is not exactly a node's."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloudcore.security.ca import CertificateAuthority, subject_of
from cloudcore.security.identity import IdentityError, node_of_subject
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import NodeName
from protocol.objects.wellknown import NODE_USER_PREFIX, NODES_GROUP


class CsrRefused(AiokubeedgeError):
    """The certificate request is not signed; the message says why in one line."""


def load_csr(csr_pem: bytes, node: NodeName) -> x509.CertificateSigningRequest:
    """Return the request, checked: its subject is ``node``'s, it is self-signed, its key is ECDSA P-256.

    Raises:
        CsrRefused: One of these does not hold.
    """
    try:
        csr = x509.load_pem_x509_csr(csr_pem)
        key = csr.public_key()
        valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as exc:
        raise CsrRefused("the certificate request cannot be read") from exc
    if not valid:
        raise CsrRefused("the certificate request is not signed with its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CsrRefused("the certificate request's key is not ECDSA P-256")
    try:
        named = node_of_subject(csr.subject)
    except IdentityError as exc:
        raise CsrRefused(f"the certificate request's {exc}") from exc
    if named != node:
        raise CsrRefused(f"the certificate request is for node {named}, the token for {node}")
    return csr


def key_fingerprint(csr: x509.CertificateSigningRequest) -> str:
    """Return the SHA-256 of the request's public key (SubjectPublicKeyInfo, DER), hex."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(csr.public_key().public_bytes(encoding, form)).hexdigest()


def sign_node(ca: CertificateAuthority, csr: x509.CertificateSigningRequest, node: NodeName, now: float) -> bytes:
    """Sign a request that :func:`load_csr` has checked; return the certificate as PEM.

    The subject is written anew, and no extension of the request is taken over.

    Raises:
        CsrRefused: Its key is none for nodes.
    """
    key = csr.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CsrRefused("the certificate request's key is not ECDSA P-256")
    return ca.sign_client(subject_of(NODE_USER_PREFIX + node, NODES_GROUP), key, now)
