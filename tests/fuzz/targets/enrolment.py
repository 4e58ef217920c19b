"""What a stranger may send to join, and what a peer's certificate says. Only the errors of joining may come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import jwt
from pydantic import ValidationError

from cloudcore.security.enrolment import EnrolBody
from cloudcore.security.identity import IdentityError, identity_of
from cloudcore.security.nodelabels import LabelRefused, node_labels
from cloudcore.security.signer import CsrRefused, load_csr
from cloudcore.security.tokens import Claims, TokenError, mint, verify
from protocol.objects.keys import NodeName
from tests.fuzz.bounds import at_most
from tests.support.csrs import node_csr

FACTOR: Final = 64
KEY: Final = b"k" * 32
FINGERPRINT: Final = "a" * 64
NODE: Final = NodeName("edge-1")


def one_input(data: bytes) -> None:
    """Take ``data`` for each of the things, as its first byte says."""
    with at_most(len(data), FACTOR):
        READERS[data[0] % len(READERS) if data else 0](data[1:])


def _request(data: bytes) -> None:
    try:
        body = EnrolBody.model_validate_json(data)
        _token(body.token.encode())
        _csr(body.csr.encode())
        node_labels(NODE, body.labels)
    except (ValidationError, LabelRefused):
        pass


def _token(data: bytes) -> None:
    try:
        claims = verify(data.decode(errors="replace"), key=KEY, ca_fingerprint=FINGERPRINT, now=1000.0)
    except TokenError:
        return
    again = verify(mint(claims, key=KEY, ca_fingerprint=FINGERPRINT), key=KEY, ca_fingerprint=FINGERPRINT, now=1000.0)
    assert again.node == claims.node


def _signed(data: bytes) -> None:
    """Take ``data`` as what a token says that was signed with the right key."""
    try:
        payload = jwt.api_jws.encode(data, KEY, algorithm="HS256")
    except ValueError:
        return
    _token(f"{FINGERPRINT}.{payload}".encode())


def _csr(data: bytes) -> None:
    try:
        load_csr(data, NODE)
    except CsrRefused:
        pass


def _certificate(data: bytes) -> None:
    try:
        identity_of(data)
    except IdentityError:
        pass


READERS: Final = (_request, _token, _signed, _csr, _certificate)


def seeds() -> Iterable[bytes]:
    """Return a good one of each."""
    token = mint(Claims("a" * 32, NODE, 0.0, 2000.0), key=KEY, ca_fingerprint=FINGERPRINT)
    csr = node_csr(NODE)
    body = {"token": token, "csr": csr.decode(), "instanceId": "i-1", "labels": {"site": "x"}, "runtimes": ["process"]}
    yield b"\x00" + json.dumps(body).encode()
    yield b"\x01" + token.encode()
    yield b"\x02" + b'{"sub":"edge-1","jti":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","iat":0,"exp":2000}'
    yield b"\x02" + b'{"sub":"edge-1","jti":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","iat":1e999,"exp":"NaN"}'
    yield b"\x03" + csr
    yield b"\x04" + b"\x30\x82\x01\x00"
