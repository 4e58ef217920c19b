"""The other side is played by ``h2``, which knows HTTP/2 and HPACK by itself."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.grpchealth import ANSWER_BYTES, AnswerMalformed, Check, Health, request

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
TRAILERS = [("grpc-status", "0")]


class Server:
    """A gRPC server as far as one call goes."""

    def __init__(self) -> None:
        configuration = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(configuration)
        self.connection.initiate_connection()
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.acknowledged: list[str] = []

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    self.headers = dict(event.headers or ())  # type: ignore[arg-type]
                case h2.events.DataReceived():
                    self.body += event.data or b""
                case h2.events.StreamEnded():
                    self.ended = True
                case h2.events.SettingsAcknowledged() | h2.events.PingAckReceived():
                    self.acknowledged.append(type(event).__name__)

    def answer(self, message: bytes, *, compressed: int = 0, padding: int | None = None) -> bytes:
        self.connection.send_headers(1, HEADERS)
        framed = bytes((compressed,)) + len(message).to_bytes(4, "big") + message
        self.connection.send_data(1, framed, pad_length=padding)
        self.connection.send_headers(1, TRAILERS, end_stream=True)
        return self.connection.data_to_send()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("service", ["", "shop.v1.Orders", "x" * 300])
@pytest.mark.parametrize("authority", ["10.0.0.7:50051", f"{'a' * 200}.test:1"])
def test_a_server_understands_the_request(server: Server, service: str, authority: str) -> None:
    server.receive(request(service, authority))
    assert server.headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": authority,
        "content-type": "application/grpc",
        "user-agent": "kube-probe/1.33",
        "te": "trailers",
    }
    assert server.ended
    assert int.from_bytes(server.body[1:5], "big") == len(server.body) - 5
    assert server.body.endswith(service.encode())


@pytest.mark.parametrize(
    ("message", "health"),
    [
        (b"\x08\x01", Health.SERVING),
        (b"\x08\x02", Health.NOT_SERVING),
        (b"\x08\x03", Health.SERVICE_UNKNOWN),
        (b"\x08\x00", Health.UNKNOWN),
        (b"", Health.UNKNOWN),
    ],
)
@pytest.mark.parametrize("padding", [None, 0, 100])
def test_a_health_is_read(server: Server, message: bytes, health: Health, padding: int | None) -> None:
    server.receive(request("", "a:1"))
    assert Check().receive(server.answer(message, padding=padding)) is health


def test_byte_by_byte(server: Server) -> None:
    server.receive(request("", "a:1"))
    check = Check()
    found = (check.receive(bytes((byte,))) for byte in server.answer(b"\x08\x01"))
    assert next(health for health in found if health is not None) is Health.SERVING


def test_what_the_server_is_owed_is_sent(server: Server) -> None:
    server.receive(request("", "a:1"))
    server.connection.ping(b"12345678")
    check = Check()
    assert check.receive(server.connection.data_to_send()) is None
    server.receive(check.data_to_send())
    assert server.acknowledged == ["SettingsAcknowledged", "PingAckReceived"]
    assert check.data_to_send() == b""


def test_an_answer_without_a_message_is_no_health(server: Server) -> None:
    server.receive(request("", "a:1"))
    server.connection.send_headers(1, [*HEADERS, ("grpc-status", "12")], end_stream=True)
    with pytest.raises(AnswerMalformed, match=r"grpc\.health\.v1"):
        Check().receive(server.connection.data_to_send())


@pytest.mark.parametrize("how", ["reset", "goaway"])
def test_a_call_that_is_broken_off_is_no_health(server: Server, how: str) -> None:
    server.receive(request("", "a:1"))
    server.connection.reset_stream(1) if how == "reset" else server.connection.close_connection()
    with pytest.raises(AnswerMalformed):
        Check().receive(server.connection.data_to_send())


@pytest.mark.parametrize(("message", "compressed"), [(b"\x08\x09", 0), (b"\x12\x01", 0), (b"\x08\x01", 1)])
def test_what_is_no_health_status(server: Server, message: bytes, compressed: int) -> None:
    server.receive(request("", "a:1"))
    with pytest.raises(AnswerMalformed):
        Check().receive(server.answer(message, compressed=compressed))


def test_an_answer_without_end_is_not_waited_for(server: Server) -> None:
    server.receive(request("", "a:1"))
    server.connection.send_headers(1, HEADERS)
    server.connection.send_data(1, b"\0\xff\xff\xff\xff" + b"x" * (ANSWER_BYTES - 5))
    server.connection.send_data(1, b"x")
    with pytest.raises(AnswerMalformed, match="longer"):
        Check().receive(server.connection.data_to_send())


def test_another_protocol_is_told_by_its_first_bytes() -> None:
    with pytest.raises(AnswerMalformed, match="HTTP/2"):
        Check().receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@given(st.lists(st.binary(max_size=60)))
def test_nothing_breaks_it(pieces: list[bytes]) -> None:
    check = Check()
    try:
        for piece in pieces:
            check.receive(piece)
    except AnswerMalformed:
        return
