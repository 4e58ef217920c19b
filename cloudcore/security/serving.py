"""The certificates of the cloud's own ends: the server's, and the administrator's kubeconfig."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cloudcore.security.ca import DAY_S, CertificateAuthority, Credential
from protocol.files import PUBLIC, make_private_folder, write_file

RENEW_BEFORE_S: Final = 60 * DAY_S
ADMIN_USER: Final = "kubernetes-admin"
ADMIN_GROUP: Final = "system:masters"


def server_credential(ca: CertificateAuthority, folder: Path, names: Sequence[str], now: float) -> tuple[Path, Path]:
    """Return the paths of the server's certificate and key in ``folder``, made anew where they no longer fit.

    They fit when this CA signed them, they carry exactly ``names``, and 60 days of their life are left.

    Raises:
        OSError: The folder cannot be read or written.
    """
    certificate_path, key_path = folder / "server.crt", folder / "server.key"
    if not _fits(ca, certificate_path, key_path, frozenset(names), now):
        make_private_folder(folder)
        _write(ca.issue_server(sorted(set(names)), now), certificate_path, key_path)
    return certificate_path, key_path


def server_context(
    certificate_path: Path, key_path: Path, *, ca: CertificateAuthority, clients: ssl.VerifyMode
) -> ssl.SSLContext:
    """Return a TLS context of a server (1.2 and newer) that trusts client certificates of ``ca`` alone.

    Args:
        certificate_path: The server's certificate, PEM.
        key_path: Its key, PEM.
        ca: The authority of client certificates.
        clients: ``CERT_REQUIRED`` on the hub, ``CERT_NONE`` for enrolment, ``CERT_OPTIONAL`` for the API.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_path, key_path)
    context.load_verify_locations(cadata=ca.certificate_pem.decode("ascii"))
    context.verify_mode = clients
    # Session tickets cost memory per connection and save a handshake that is cheap with P-256.
    context.num_tickets = 0
    return context


def write_admin_kubeconfig(ca: CertificateAuthority, path: Path, server: str, now: float) -> None:
    """Write a kubeconfig for the administrator (group ``system:masters``), mode 0600.

    An existing file keeps its certificate while that is this CA's and has 60 days left, so that a copy someone took
    of it stays good; only the address follows.

    Args:
        ca: The cluster's authority.
        path: The file.
        server: The API server's URL, ``https://host:port``.
        now: Seconds since the epoch.
    """
    credential = _admin_of(ca, path, now) or ca.issue_client(ADMIN_USER, ADMIN_GROUP, now)
    write_file(path, kubeconfig(server, ca.certificate_pem, credential))


def kubeconfig(server: str, ca_pem: bytes, credential: Credential, *, name: str = "aiokubeedge") -> bytes:
    """Return a kubeconfig (YAML) with one cluster, one user and one context, all embedded."""
    user = f"{name}-admin"
    cluster_data = {"server": server, "certificate-authority-data": _b64(ca_pem)}
    user_data = {
        "client-certificate-data": _b64(credential.certificate_pem),
        "client-key-data": _b64(credential.key_pem),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster_data}],
        "users": [{"name": user, "user": user_data}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _admin_of(ca: CertificateAuthority, path: Path, now: float) -> Credential | None:
    try:
        user = yaml.safe_load(path.read_bytes())["users"][0]["user"]
        certificate_pem = base64.b64decode(user["client-certificate-data"])
        key_pem = base64.b64decode(user["client-key-data"])
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return None
    if not ca.signed(certificate) or not _lasts(certificate, now):
        return None
    return Credential(certificate_pem, key_pem)


def _fits(ca: CertificateAuthority, certificate_path: Path, key_path: Path, names: frozenset[str], now: float) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError):
        return False
    return (
        key.public_key() == certificate.public_key()
        and ca.signed(certificate)
        and _names_of(certificate) == names
        and _lasts(certificate, now)
    )


def _lasts(certificate: x509.Certificate, now: float) -> bool:
    deadline = datetime.datetime.fromtimestamp(now + RENEW_BEFORE_S, datetime.UTC)
    return certificate.not_valid_after_utc > deadline


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns_names = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return frozenset([*dns_names, *(str(address) for address in addresses)])


def _write(credential: Credential, certificate_path: Path, key_path: Path) -> None:
    # A crash in between leaves a pair that does not match, which the next start replaces.
    write_file(key_path, credential.key_pem)
    write_file(certificate_path, credential.certificate_pem, mode=PUBLIC)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
