from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloudcore.security.ca import DAY_S, LEAF_LIFETIME_S, CertificateAuthority
from cloudcore.security.clientrequests import RequestRefused, sign_client_request
from tests.support.csrs import csr_pem, name

NOW = 1_800_000_000.0
AUTHORITY = CertificateAuthority.create(NOW)
JANE = name("jane", "devs")


def signed(pem: bytes, usages: tuple[str, ...] = ("client auth",), lifetime_s: int | None = None) -> x509.Certificate:
    made = sign_client_request(AUTHORITY, pem, usages=usages, lifetime_s=lifetime_s, now=NOW)
    return x509.load_pem_x509_certificate(made)


@pytest.mark.parametrize(
    ("asked_s", "got_s"), [(600, 600), (None, LEAF_LIFETIME_S), (10 * 365 * 86_400, LEAF_LIFETIME_S)]
)
def test_it_is_good_for_as_long_as_asked_and_a_year_at_most(asked_s: int | None, got_s: float) -> None:
    certificate = signed(csr_pem(JANE), lifetime_s=asked_s)
    assert certificate.not_valid_after_utc.timestamp() == NOW + got_s


def test_it_never_outlives_the_authority() -> None:
    pem = sign_client_request(
        AUTHORITY, csr_pem(JANE), usages=["client auth"], lifetime_s=None, now=NOW + 3652 * DAY_S - 100
    )
    assert x509.load_pem_x509_certificate(pem).not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


def test_it_is_good_as_a_client_and_for_nothing_else() -> None:
    usages = ("client auth", "digital signature", "key encipherment")
    certificate = signed(csr_pem(JANE, rsa.generate_private_key(65537, 2048)), usages)
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_encipherment, usage.key_cert_sign) == (True, False)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"pem": b"nonsense"}, "cannot be read"),
        ({"usages": ("digital signature",)}, "must include"),
        ({"usages": ("client auth", "cert sign")}, "not permitted"),
        ({"pem": csr_pem(name("root", "system:masters"))}, "system:masters"),
        ({"pem": csr_pem(JANE, rsa.generate_private_key(65537, 1024))}, "2048 bits"),
    ],
)
def test_what_is_not_signed(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestRefused, match=why):
        signed(**{"pem": csr_pem(JANE), **arguments})
