from __future__ import annotations

from typing import Any

from cloudcore.apiserver.http.authn import Authenticators, CertificateAuthenticator, Credentials, User, user_of


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


def test_a_certificate_ends_while_its_connection_is_open() -> None:
    shown = {**certificate(("commonName", "me")), "notAfter": "Nov 23 12:00:00 2026 GMT"}
    ends_at, now = 1_795_435_200.0, [0.0]
    authenticator = CertificateAuthenticator(now=lambda: now[0])
    for moment, good in ((ends_at - 1, True), (ends_at, False)):
        now[0] = moment
        assert (authenticator.authenticate(credentials(shown)) is not None) is good


def test_the_first_authenticator_that_knows_the_user_says_who_it_is() -> None:
    class Token:
        def authenticate(self, credentials: Credentials) -> User | None:
            return User("bearer", ()) if credentials.authorization else None

    both = Authenticators((CertificateAuthenticator(), Token()))
    me = certificate(("commonName", "me"))
    assert [
        user.name if user is not None else None
        for user in (
            both.authenticate(Credentials(me, lambda: None, "Bearer x")),
            both.authenticate(Credentials({}, lambda: None, "Bearer x")),
            both.authenticate(Credentials({}, lambda: None, "")),
        )
    ] == ["me", "bearer", None]
