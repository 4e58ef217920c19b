from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edgecore.hub.dialer import client_context
from edgecore.join import CloudUnreachable, JoinRefused, Request, join
from edgecore.node.identity import DataFolder, load_identity
from protocol.errors import UsageError
from protocol.objects.keys import NodeName
from tests.support.enrolments import PlayedEnrolment


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedEnrolment]:
    with PlayedEnrolment(tmp_path_factory.mktemp("cloud")).running() as enrolment:
        yield enrolment


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "edge")


@pytest.fixture
def request_(cloud: PlayedEnrolment) -> Request:
    return Request(cloud.url, cloud.token(), NodeName("edge-1"), {"site": "hall-3"})


def test_joining_stores_everything_the_agent_needs(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request
) -> None:
    identity = join(folder, request_)
    assert load_identity(folder) == identity
    assert identity.hub == {"websocket": ("wss://127.0.0.1:10000",)}
    client_context(folder)  # key, certificate and CA fit together
    certificate = x509.load_pem_x509_certificate(folder.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "O=system:nodes,CN=system:node:edge-1"
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"


def test_the_request_is_as_documented(cloud: PlayedEnrolment, folder: DataFolder, request_: Request) -> None:
    identity = join(folder, request_)
    (sent,) = cloud.requests
    assert set(sent) == {"token", "csr", "instanceId", "labels", "runtimes"}
    assert sent["instanceId"] == identity.instance
    assert sent["labels"]["site"] == "hall-3"
    assert {"kubernetes.io/os", "kubernetes.io/arch"} < set(sent["labels"])
    assert sent["runtimes"] == ["process"]


def test_nobody_else_can_read_the_key(folder: DataFolder, request_: Request) -> None:
    join(folder, request_)
    assert stat.S_IMODE(folder.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.key.parent.stat().st_mode) == 0o700


def test_a_lost_reply_is_made_good_with_the_same_key(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request
) -> None:
    cloud.swallow = 1
    with pytest.raises(CloudUnreachable, match="no answer"):
        join(folder, request_)
    join(folder, request_)
    first, second = cloud.requests
    keys = [x509.load_pem_x509_csr(each["csr"].encode()).public_key() for each in (first, second)]
    assert keys[0] == keys[1]
    assert first["instanceId"] == second["instanceId"]


def test_another_clouds_certificate_is_not_trusted(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request
) -> None:
    token = "0" * 64 + request_.token[64:]
    with pytest.raises(JoinRefused, match="not the cloud the token is for"):
        join(folder, replace(request_, token=token))
    assert cloud.requests == []  # the token was shown to nobody
    assert not folder.identity.exists()


def test_a_server_that_only_shows_the_right_certificate_is_not_trusted(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PlayedEnrolment(tmp_path_factory.mktemp("impostor")).running() as impostor:
        impostor.authority_sent = cloud.authority_sent
        with pytest.raises(JoinRefused, match="no valid certificate"):
            join(folder, replace(request_, server=impostor.url))
        assert impostor.requests == []


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        (401, "TokenExpired", "expired"),
        (401, "TokenUsed", "used by another device"),
        (401, "TokenInvalid", "not one of this cloud's"),
        (401, "TokenUnknown", "revoked"),
        (403, "CsrRefused", "another node name"),
        (403, "LabelRefused", "label x/y"),
    ],
)
def test_refusals_are_one_line_that_says_why(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request, status: int, reason: str, says: str
) -> None:
    cloud.refuse(status, reason, "label x/y may not be set")
    with pytest.raises(JoinRefused, match=says) as raised:
        join(folder, request_)
    assert "\n" not in str(raised.value)
    assert not folder.identity.exists()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_cloud_is_not_a_refusal(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request, status: int
) -> None:
    cloud.refuse(status, "Unavailable", "busy")
    with pytest.raises(CloudUnreachable, match="try again"):
        join(folder, request_)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"node": 1, "certificate": "", "ca": "", "hub": {}}'])
def test_an_answer_of_the_wrong_shape_is_refused(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request, content: bytes
) -> None:
    cloud.answers.append((200, content))
    with pytest.raises(JoinRefused):
        join(folder, request_)
    assert not folder.identity.exists()


def test_something_else_that_listens_there_is_refused(
    cloud: PlayedEnrolment, folder: DataFolder, request_: Request
) -> None:
    cloud.authority_sent = b"hello"
    with pytest.raises(JoinRefused, match="no enrolment endpoint"):
        join(folder, request_)


def test_a_closed_port_is_unreachable(folder: DataFolder, request_: Request) -> None:
    with pytest.raises(CloudUnreachable, match="no answer"):
        join(folder, replace(request_, server="https://127.0.0.1:1"))


@pytest.mark.parametrize("server", ["http://127.0.0.1:10002", "127.0.0.1", "https://", "https://h:x", "https://h/x"])
def test_a_wrong_server_is_a_usage_error(folder: DataFolder, request_: Request, server: str) -> None:
    with pytest.raises(UsageError, match="--server"):
        join(folder, replace(request_, server=server))


@pytest.mark.parametrize("token", ["", "abc", "0" * 64, "0" * 64 + ".a.b", "Z" * 64 + ".a.b.c"])
def test_a_malformed_token_is_a_usage_error(folder: DataFolder, request_: Request, token: str) -> None:
    with pytest.raises(UsageError, match="malformed"):
        join(folder, replace(request_, token=token))


@pytest.mark.parametrize("name", ["", "Edge", "-edge", "edge_1", "x" * 254])
def test_a_wrong_node_name_is_a_usage_error(folder: DataFolder, request_: Request, name: str) -> None:
    with pytest.raises(UsageError, match="--node-name"):
        join(folder, replace(request_, node=NodeName(name)))


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path, request_: Request) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="data folder"):
        join(DataFolder(tmp_path / "file" / "edge"), request_)
