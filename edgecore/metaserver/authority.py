"""The metaserver's own small authority and serving certificate, made on the device.

The cloud's authority signs nothing for it: a device that is taken over could then pass for the API server elsewhere.
Pods on this device trust the device's authority because the device writes its certificate into their ``ca.crt``, beside
the cloud's. The certificates have no end that a device's clock could pass, as that clock may be years off: both keys
stay in one folder, 0600, and whoever can read them can read the pods' tokens too.

Run as a program, ``python -m edgecore.metaserver.authority FOLDER NAME…``, it makes what is missing: only that process
ever loads the library for it.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.files import make_private_folder, write_file

BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, 4.1.2.5: a certificate with no well-defined expiration date."""


def make(folder: Path, names: Sequence[str]) -> None:
    """Make the authority where there is none, and a serving certificate for ``names`` (DNS names and addresses).

    Raises:
        OSError: The folder cannot be used.
        ValueError: The authority's key cannot be read.
    """
    make_private_folder(folder)
    key, certificate = _authority(folder)
    server_key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("metaserver", certificate.subject, server_key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    signed = builder.sign(key, hashes.SHA256())
    write_file(folder / "server.pem", _pem_of(server_key) + signed.public_bytes(serialization.Encoding.PEM))


def _authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, certificate_file = folder / "ca.key", folder / "ca.crt"
    if key_file.exists() and certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file} is no ECDSA key")
        return key, x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    common = f"device {x509.random_serial_number() & 0xFFFFFFFF:08x}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = _builder(common, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    write_file(key_file, _pem_of(key))
    write_file(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _builder(common: str, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2:])
