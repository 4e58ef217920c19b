from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.metaserver.http11 import MAX_BODY_BYTES, MAX_HEAD_BYTES, Malformed, Request, RequestParser, chunk, head

GET = b"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n"
POST = b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: v\r\n\r\n"


def parse(data: bytes) -> Request | None:
    parser = RequestParser()
    parser.feed(data)
    return parser.next_request()


def test_requests_come_out_whole_whatever_pieces_they_come_in() -> None:
    parser, found = RequestParser(), []
    for byte in GET + POST + CHUNKED:
        parser.feed(bytes([byte]))
        while (request := parser.next_request()) is not None:
            found.append((request.method, request.target, request.body))
    assert found == [("GET", "/api/v1/pods?watch=1", b""), ("POST", "/api", b"abc"), ("PUT", "/a", b"abc")]
    assert parser.idle


def test_headers_are_found_in_small_letters() -> None:
    request = parse(GET)
    assert request is not None
    assert request.headers == {"host": "x", "authorization": "Bearer t"}
    assert request.keep_alive


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 65 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
    ],
)
def test_what_is_no_plain_request_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(Malformed) as refused:
        parse(data)
    assert refused.value.code == code


def test_a_client_may_wait_to_be_told_to_go_on() -> None:
    parser = RequestParser()
    parser.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    assert parser.next_request() is None
    assert parser.wants_continue
    parser.feed(b"a")
    assert parser.next_request() is not None


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_break_the_parser(pieces: list[bytes]) -> None:
    parser = RequestParser()
    with suppress(Malformed):
        for piece in pieces:
            parser.feed(piece)
            while parser.next_request() is not None:
                pass


def test_an_answers_head_takes_no_second_line_from_a_value() -> None:
    assert head(200, {"A": "b"}) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    assert chunk(b"ab") == b"2\r\nab\r\n"
    assert chunk(b"") == b"0\r\n\r\n"
