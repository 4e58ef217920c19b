"""Signs a client's certificate request, with the subject it asks for: whoever approved it has looked at that.

Source: Kubernetes ``pkg/controller/certificates/signer``, signer ``kubernetes.io/kube-apiserver-client``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from cloudcore.security.ca import LEAF_LIFETIME_S, CertificateAuthority
from protocol.errors import AiokubeedgeError

CLIENT_AUTH: Final = "client auth"
_ACCEPTED: Final = frozenset({CLIENT_AUTH, "digital signature", "key encipherment"})
_MASTERS: Final = "system:masters"
_SHORTEST_RSA_BITS: Final = 2048


class RequestRefused(AiokubeedgeError):
    """The request is not signed; the message says why in one line."""


def sign_client_request(
    authority: CertificateAuthority,
    request_pem: bytes,
    *,
    usages: Sequence[str],
    lifetime_s: int | None,
    now: float,
) -> bytes:
    """Return a client certificate for a request, as PEM.

    Args:
        authority: Signs.
        request_pem: The request.
        usages: What the certificate is to be good for, as Kubernetes names it.
        lifetime_s: How long it is to be good, seconds; a year at most, and a year where none is stated.
        now: Seconds since the epoch.

    Raises:
        RequestRefused: It cannot be signed by this signer.
    """
    request = _loaded(request_pem)
    if CLIENT_AUTH not in usages:
        raise RequestRefused(f'usages must include "{CLIENT_AUTH}"')
    if extra := set(usages) - _ACCEPTED:
        raise RequestRefused(f"usages {sorted(extra)} are not permitted for this signer")
    if any(each.value == _MASTERS for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
        raise RequestRefused(f"the group {_MASTERS} cannot be requested")
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise RequestRefused("the key must be ECDSA, Ed25519 or RSA")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA_BITS:
        raise RequestRefused(f"an RSA key must have {_SHORTEST_RSA_BITS} bits or more")
    lifetime = min(LEAF_LIFETIME_S, lifetime_s or LEAF_LIFETIME_S)
    return authority.sign_client(
        request.subject, key, now, lifetime_s=lifetime, key_encipherment="key encipherment" in usages
    )


def _loaded(request_pem: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(request_pem)
        valid = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise RequestRefused("the certificate request cannot be read") from error
    if not valid:
        raise RequestRefused("the certificate request is not signed with its own key")
    return request
