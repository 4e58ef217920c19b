from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.httpprobe import HEAD_BYTES, AnswerMalformed, Head, HeadReader, request
from edgecore.pods.probetargets import HttpTarget

TARGET = HttpTarget(False, "10.0.0.7", 8080, "/healthz")


class TestRequest:
    def test_it_is_what_a_kubelet_sends(self) -> None:
        assert request(TARGET) == (
            b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.33\r\n"
            b"Accept: */*\r\nConnection: close\r\n\r\n"
        )

    @pytest.mark.parametrize(("secure", "port", "host"), [(False, 80, "::1"), (True, 443, "::1"), (True, 80, "::1")])
    def test_a_default_port_is_left_out(self, secure: bool, port: int, host: str) -> None:
        sent = request(HttpTarget(secure, host, port, "/"))
        assert (b"Host: [::1]\r\n" in sent) is ((secure, port) in ((False, 80), (True, 443)))

    def test_stated_headers_win(self) -> None:
        sent = request(replace(TARGET, headers=(("host", "shop.test"), ("USER-AGENT", "me"), ("X-A", "1"))))
        assert sent.count(b"Host") == 0
        assert sent.endswith(b"Connection: close\r\nhost: shop.test\r\nUSER-AGENT: me\r\nX-A: 1\r\n\r\n")
        assert b"kube-probe" not in sent


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Head(200)),
    (b"HTTP/1.0 204\r\n\r\n", Head(204)),
    (b"HTTP/1.1 503 Service Unavailable\nX: y\n\nbody", Head(503)),
    (b"HTTP/1.1 302 Found\r\nlocation:  /next \r\n\r\n", Head(302, "/next")),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Head(200)),
]


class TestHeadReader:
    @pytest.mark.parametrize(("data", "head"), ANSWERS)
    def test_in_one_piece(self, data: bytes, head: Head) -> None:
        assert HeadReader().receive(data) == head

    @pytest.mark.parametrize(("data", "head"), ANSWERS)
    def test_byte_by_byte(self, data: bytes, head: Head) -> None:
        reader = HeadReader()
        found = (reader.receive(bytes((byte,))) for byte in data)
        assert next(answer for answer in found if answer is not None) == head

    @pytest.mark.parametrize("end", range(len(ANSWERS[0][0])))
    def test_nothing_is_said_of_half_an_answer(self, end: int) -> None:
        assert HeadReader().receive(ANSWERS[0][0][:end]) is None

    @pytest.mark.parametrize(
        "data",
        [
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_BYTES,
        ],
    )
    def test_what_is_no_answer_is_refused(self, data: bytes) -> None:
        with pytest.raises(AnswerMalformed):
            HeadReader().receive(data)

    @given(st.lists(st.binary(max_size=40)))
    def test_nothing_breaks_it(self, pieces: list[bytes]) -> None:
        reader = HeadReader()
        try:
            for piece in [b"HTTP/1.1 ", *pieces]:
                reader.receive(piece)
        except AnswerMalformed:
            return
