"""The cluster's certificate authority: made on the first run, then loaded from ``D/pki``.

Keys are ECDSA P-256. Times are seconds since the epoch and are passed in.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import UsageError
from protocol.files import PUBLIC, make_private_folder, write_file

DAY_S: Final = 86_400.0
CA_LIFETIME_S: Final = 3652 * DAY_S
LEAF_LIFETIME_S: Final = 365 * DAY_S
BACKDATED_S: Final = 3_600.0
"""Certificates are valid from an hour before they were made: devices' clocks are seldom exact."""

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
"""Keys that certificates are signed for."""

_CA_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aiokubeedge-ca")])


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes


class CertificateAuthority:
    """Signs certificates; holds the CA's private key in memory.

    Args:
        certificate: The CA's own certificate.
        key: Its private key.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.certificate_der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        """SHA-256 of the certificate's DER, hex: the first part of every token."""
        self.token_key = _derive_token_key(key)
        """The HMAC key of enrolment tokens. A secret, as good as the CA's key for joining nodes."""

    @classmethod
    def create(cls, now: float) -> CertificateAuthority:
        """Make a new authority, valid for ten years from ``now``."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_CA_NAME, _CA_NAME, key.public_key(), now, CA_LIFETIME_S)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load_or_create(cls, folder: Path, now: float) -> CertificateAuthority:
        """Load ``ca.crt`` and ``ca.key`` from ``folder``, or make them there if there are none.

        Raises:
            UsageError: The files are damaged, do not belong together, or one is missing; nothing was replaced, for
                a new authority would lock out every node.
            OSError: The folder cannot be read or written.
        """
        if (folder / "ca.crt").exists():
            return cls.load(folder)
        make_private_folder(folder)
        authority = cls.create(now)
        authority.save(folder)
        return authority

    def save(self, folder: Path) -> None:
        """Write ``ca.key`` (0600) and ``ca.crt`` into ``folder``."""
        # The key goes first: a crash in between leaves a key that has signed nothing, which the next run replaces.
        write_file(folder / "ca.key", _key_pem(self._key))
        write_file(folder / "ca.crt", self.certificate_pem, mode=PUBLIC)

    @classmethod
    def load(cls, folder: Path) -> CertificateAuthority:
        """Load the authority that an earlier run made in ``folder``.

        Raises:
            UsageError: The files are missing, damaged, unreadable, or do not belong together.
        """
        certificate_path, key_path = folder / "ca.crt", folder / "ca.key"
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        except (ValueError, OSError) as exc:
            raise UsageError(f"the certificate authority in {folder} cannot be used: {exc}") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise UsageError(f"{key_path} is not the key of {certificate_path}; restore the one that belongs to it")
        return cls(certificate, key)

    def issue_server(self, names: Sequence[str], now: float) -> Credential:
        """Make a server certificate for ``names`` (DNS names and IP addresses), valid for a year."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aiokubeedge-server")])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        certificate = (
            self._leaf(subject, key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, now)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Credential(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    def issue_client(self, common_name: str, organization: str, now: float) -> Credential:
        """Make a client certificate of the user ``common_name`` in the group ``organization``, valid for a year."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self.sign_client(subject_of(common_name, organization), key.public_key(), now)
        return Credential(pem, _key_pem(key))

    def sign_client(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        now: float,
        *,
        lifetime_s: float = LEAF_LIFETIME_S,
        key_encipherment: bool = False,
    ) -> bytes:
        """Sign a client certificate (clientAuth only) for a key made elsewhere; return it as PEM.

        The caller has checked that the key's owner may bear that subject.

        Args:
            subject: Whom it is for.
            public_key: The key.
            now: Seconds since the epoch.
            lifetime_s: How long it is good; not longer than the authority itself.
            key_encipherment: Whether the key may encipher others (RSA).
        """
        lifetime_s = min(lifetime_s, self.certificate.not_valid_after_utc.timestamp() - now)
        usage = _key_usage(signs_certificates=False, key_encipherment=key_encipherment)
        builder = self._leaf(subject, public_key, ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime_s, usage)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Tell whether this authority issued ``certificate`` (its validity period is not looked at)."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True

    def _leaf(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        usage: x509.ObjectIdentifier,
        now: float,
        lifetime_s: float = LEAF_LIFETIME_S,
        key_usage: x509.KeyUsage | None = None,
    ) -> x509.CertificateBuilder:
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(subject, self.certificate.subject, public_key, now, lifetime_s)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage or _key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(authority_id, critical=False)
        )


def subject_of(common_name: str, organization: str) -> x509.Name:
    """Return the X.509 subject of a Kubernetes user (CN) in one group (O)."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: PublicKey, now: float, lifetime_s: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(now - BACKDATED_S, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(now + lifetime_s, datetime.UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool, key_encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _derive_token_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    # Derived, so that the CA's key itself never serves two algorithms.
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"aiokubeedge enrolment token").derive(secret)
