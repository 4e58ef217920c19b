"""The server's certificate and the administrator's kubeconfig."""

from __future__ import annotations

import base64
import ssl
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from cloudcore.rest import read_kubeconfig
from cloudcore.security.ca import DAY_S, CertificateAuthority
from cloudcore.security.serving import server_context, server_credential, write_admin_kubeconfig

NOW = 1_790_000_000.0
NAMES = ["cloud.example", "127.0.0.1"]


@pytest.fixture
def ca() -> CertificateAuthority:
    return CertificateAuthority.create(NOW)


def test_a_certificate_that_fits_is_kept(ca: CertificateAuthority, tmp_path: Path) -> None:
    certificate, key = server_credential(ca, tmp_path, NAMES, NOW)
    before = certificate.read_bytes()
    server_credential(ca, tmp_path, list(reversed(NAMES)), NOW + 30 * DAY_S)
    assert certificate.read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.parametrize("change", ["names", "age", "authority", "damage", "pair"])
def test_one_that_fits_no_more_is_made_anew(ca: CertificateAuthority, tmp_path: Path, change: str) -> None:
    certificate, key = server_credential(ca, tmp_path, NAMES, NOW)
    before = certificate.read_bytes()
    names, now = NAMES, NOW
    if change == "names":
        names = [*NAMES, "other.example"]
    elif change == "age":
        now = NOW + 310 * DAY_S
    elif change == "authority":
        ca = CertificateAuthority.create(NOW)
    elif change == "damage":
        certificate.write_bytes(before[:100])
    else:
        key.write_bytes(ca.issue_server(NAMES, NOW).key_pem)
    server_credential(ca, tmp_path, names, now)
    assert certificate.read_bytes() != before
    server_context(certificate, key, ca=ca, clients=ssl.CERT_REQUIRED)


def test_the_context_is_modern(ca: CertificateAuthority, tmp_path: Path) -> None:
    context = server_context(*server_credential(ca, tmp_path, NAMES, NOW), ca=ca, clients=ssl.CERT_REQUIRED)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_the_kubeconfig_makes_its_bearer_the_administrator(ca: CertificateAuthority, tmp_path: Path) -> None:
    path = tmp_path / "admin.kubeconfig"
    write_admin_kubeconfig(ca, path, "https://cloud.example:6443", NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server, _ = read_kubeconfig(path)
    assert server == "https://cloud.example:6443"
    user = yaml.safe_load(path.read_text())["users"][0]["user"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    assert certificate.subject.rfc4514_string() == "CN=kubernetes-admin,O=system:masters"


def test_a_new_address_leaves_the_certificate_and_a_new_authority_does_not(
    ca: CertificateAuthority, tmp_path: Path
) -> None:
    path = tmp_path / "admin.kubeconfig"

    def written(authority: CertificateAuthority, server: str) -> tuple[str, str]:
        write_admin_kubeconfig(authority, path, server, NOW)
        document = yaml.safe_load(path.read_text())
        return document["clusters"][0]["cluster"]["server"], document["users"][0]["user"]["client-key-data"]

    first = written(ca, "https://a:1")
    second = written(ca, "https://b:2")
    assert (first[0], second[0]) == ("https://a:1", "https://b:2")
    assert first[1] == second[1]
    assert written(CertificateAuthority.create(NOW), "https://b:2")[1] != first[1]
