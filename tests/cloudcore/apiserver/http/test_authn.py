from __future__ import annotations

from typing import Any

from cloudcore.apiserver.http.authn import CertificateAuthenticator, Credentials, user_of


def certificate(*attributes: tuple[str, str]) -> dict[str, Any]:
    return {"subject": tuple((attribute,) for attribute in attributes)}


NODE = certificate(("organizationName", "system:nodes"), ("commonName", "system:node:edge-1"))


def credentials(shown: dict[str, Any], der: bytes | None = b"der") -> Credentials:
    return Credentials(shown, lambda: der, "")


def test_the_subject_is_the_user() -> None:
    shown = certificate(("organizationName", "a"), ("organizationName", "b"), ("commonName", "me"))
    user = user_of(shown)
    assert user is not None
    assert (user.name, user.groups) == ("me", ("a", "b", "system:authenticated"))
    assert user.node == ""


def test_a_node_is_one_by_name_and_group() -> None:
    user = user_of(NODE)
    assert user is not None
    assert user.node == "edge-1"
    without_group = user_of(certificate(("commonName", "system:node:edge-1")))
    assert without_group is not None
    assert without_group.node == ""


def test_no_certificate_is_nobody() -> None:
    assert CertificateAuthenticator().authenticate(credentials({})) is None
    assert user_of(certificate(("organizationName", "system:masters"))) is None


def test_a_superseded_certificate_is_nobody() -> None:
    authenticator = CertificateAuthenticator(lambda node, der: (node, der) == ("edge-1", b"old"))
    assert authenticator.authenticate(credentials(NODE, b"old")) is None
    assert authenticator.authenticate(credentials(NODE, None)) is None
    assert authenticator.authenticate(credentials(NODE, b"new")) is not None
