from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgecore.hub.validity import validity

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub")])


def certificate(begin: datetime.datetime, end: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(("begin", "end"), [(1970, 1999), (2025, 2026), (2049, 2050), (2051, 9999)])
def test_it_is_what_the_certificate_says(begin: int, end: int) -> None:
    first, last = (datetime.datetime(year, 2, 3, 4, 5, 6, tzinfo=datetime.UTC) for year in (begin, end))
    assert validity(certificate(first, last)) == (first.timestamp(), last.timestamp())


def test_what_is_no_certificate_is_refused_wherever_it_is_cut_off() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    whole = certificate(now, now.replace(year=2027))
    for length in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011 - which part is missing is no matter
            validity(whole[:length])
