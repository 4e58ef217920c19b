"""The certificate authority and the files it lives in."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloudcore.security.ca import DAY_S, CertificateAuthority
from protocol.errors import UsageError

NOW = 1_790_000_000.0


def usages(pem: bytes) -> list[x509.ObjectIdentifier]:
    certificate = x509.load_pem_x509_certificate(pem)
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_it_is_made_once_and_then_loaded(tmp_path: Path) -> None:
    first = CertificateAuthority.load_or_create(tmp_path / "pki", NOW)
    second = CertificateAuthority.load_or_create(tmp_path / "pki", NOW + DAY_S)
    assert first.fingerprint == second.fingerprint
    assert first.token_key == second.token_key
    assert CertificateAuthority.create(NOW).token_key != first.token_key


def test_its_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    CertificateAuthority.load_or_create(tmp_path / "pki", NOW)
    assert stat.S_IMODE((tmp_path / "pki" / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_it_is_an_authority_for_ten_years() -> None:
    certificate = CertificateAuthority.create(NOW).certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    assert constraints.critical
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    ends = datetime.datetime.fromtimestamp(NOW, datetime.UTC) + datetime.timedelta(days=3650)
    assert certificate.not_valid_after_utc >= ends


def test_a_key_alone_is_replaced_for_it_has_signed_nothing(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"half a first run")
    authority = CertificateAuthority.load_or_create(tmp_path, NOW)
    assert CertificateAuthority.load_or_create(tmp_path, NOW).fingerprint == authority.fingerprint


@pytest.mark.parametrize("damage", ["no key", "rubbish key", "other key", "rubbish certificate"])
def test_a_damaged_authority_is_never_replaced(tmp_path: Path, damage: str) -> None:
    CertificateAuthority.load_or_create(tmp_path, NOW)
    if damage == "no key":
        (tmp_path / "ca.key").unlink()
    elif damage == "other key":
        CertificateAuthority.load_or_create(tmp_path / "other", NOW)
        (tmp_path / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    else:
        (tmp_path / ("ca.key" if "key" in damage else "ca.crt")).write_bytes(b"rubbish")
    before = (tmp_path / "ca.crt").read_bytes()
    with pytest.raises(UsageError) as caught:
        CertificateAuthority.load_or_create(tmp_path, NOW)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "ca.crt").read_bytes() == before


def test_a_servers_certificate_serves_and_a_clients_does_not() -> None:
    ca = CertificateAuthority.create(NOW)
    server = ca.issue_server(["cloud.example", "127.0.0.1", "::1"], NOW)
    assert usages(server.certificate_pem) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert usages(ca.issue_client("u", "g", NOW).certificate_pem) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = x509.load_pem_x509_certificate(server.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cloud.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_it_knows_what_it_signed() -> None:
    ca, other = CertificateAuthority.create(NOW), CertificateAuthority.create(NOW)
    certificate = x509.load_pem_x509_certificate(ca.issue_client("u", "g", NOW).certificate_pem)
    assert ca.signed(certificate)
    assert not other.signed(certificate)
