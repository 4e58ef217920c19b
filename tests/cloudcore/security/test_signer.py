"""The signer of node certificates refuses everything that is not exactly one node's."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.identity import MAX_NODE_NAME, IdentityError, check_node_name, identity_of
from cloudcore.security.signer import CsrRefused, key_fingerprint, load_csr, sign_node
from protocol.objects.keys import NodeName
from tests.support.csrs import csr_pem, name, node_csr

NOW = 1_790_000_000.0
NODE = NodeName("edge-1")


def tampered() -> bytes:
    der = x509.load_pem_x509_csr(node_csr("edge-1")).public_bytes(serialization.Encoding.DER)
    changed = der.replace(b"edge-1", b"edge-2")
    return x509.load_der_x509_csr(changed).public_bytes(serialization.Encoding.PEM)


REFUSED: list[tuple[str, bytes, str]] = [
    ("another node", node_csr("edge-2"), "for node edge-2, the token for edge-1"),
    ("an administrator", csr_pem(name("kubernetes-admin", "system:masters")), "subject"),
    ("the right name in the wrong group", csr_pem(name("system:node:edge-1", "system:masters")), "subject"),
    ("no group", csr_pem(name("system:node:edge-1", None)), "subject"),
    ("more than the name and group", csr_pem(name("system:node:edge-1", COUNTRY_NAME="NO")), "subject"),
    ("no node prefix", csr_pem(name("edge-1")), "subject"),
    ("an empty name", csr_pem(name("system:node:")), "node name"),
    ("an upper-case name", csr_pem(name("system:node:EDGE-1")), "node name"),
    ("RSA", node_csr("edge-1", rsa.generate_private_key(65537, 2048)), "P-256"),
    ("another curve", node_csr("edge-1", ec.generate_private_key(ec.SECP384R1())), "P-256"),
    ("a broken signature", tampered(), "not signed with its own key"),
    ("rubbish", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
    ("nothing", b"", "cannot be read"),
]


@pytest.mark.parametrize(("pem", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_with_one_line_that_says_why(pem: bytes, why: str) -> None:
    with pytest.raises(CsrRefused, match=why) as caught:
        load_csr(pem, NODE)
    assert "\n" not in str(caught.value)


def test_a_nodes_certificate_is_for_clients_alone_and_names_it() -> None:
    ca = CertificateAuthority.create(NOW)
    pem = sign_node(ca, load_csr(node_csr("edge-1"), NODE), NODE, NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert 364 <= (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 366
    identity = identity_of(certificate.public_bytes(serialization.Encoding.DER))
    assert identity.node == NODE
    assert identity.certificate == certificate.fingerprint(hashes.SHA256()).hex()


def test_extensions_of_the_request_are_not_taken_over() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name("system:node:edge-1"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cloud.example")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = sign_node(CertificateAuthority.create(NOW), load_csr(request, NODE), NODE, NOW)
    extensions = x509.load_pem_x509_certificate(pem).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_one_key_has_one_fingerprint_whatever_the_request() -> None:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    first, second = load_csr(node_csr("edge-1", key), NODE), load_csr(node_csr("edge-1", key), NODE)
    assert key_fingerprint(first) == key_fingerprint(second)
    assert key_fingerprint(first) != key_fingerprint(load_csr(node_csr("edge-1", other), NODE))


def test_the_administrator_is_no_node() -> None:
    pem = CertificateAuthority.create(NOW).issue_client("kubernetes-admin", "system:masters", NOW).certificate_pem
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    with pytest.raises(IdentityError, match="subject"):
        identity_of(der)
    with pytest.raises(IdentityError, match="cannot be read"):
        identity_of(b"rubbish")


@pytest.mark.parametrize("good", ["a", "edge-node-01", "a.b.c", "1", "x" * MAX_NODE_NAME])
def test_node_names(good: str) -> None:
    assert check_node_name(good) == good


@pytest.mark.parametrize("bad", ["", "-a", "a-", "A", "a_b", "a..b", "a/b", "a\n", "x" * (MAX_NODE_NAME + 1)])
def test_what_is_no_node_name(bad: str) -> None:
    with pytest.raises(IdentityError):
        check_node_name(bad)
