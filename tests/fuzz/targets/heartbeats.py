"""Heartbeats: any run of bodies. Only ``HeartbeatError`` may come, and what an encoder says is understood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from protocol.heartbeat import HeartbeatDecoder, HeartbeatEncoder, HeartbeatError, Load
from protocol.samples import READINGS_FROM
from tests.fuzz.bounds import at_most

FACTOR: Final = 128


def one_input(data: bytes) -> None:
    """Decode ``data`` as bodies of a size each; then tell loads made of it."""
    decoder = HeartbeatDecoder()
    with at_most(len(data), FACTOR):
        for body in bodies(data):
            before = decoder.load, dict(decoder.readings or ())
            try:
                decoder.decode(body)
            except HeartbeatError:
                assert (decoder.load, dict(decoder.readings or ())) == before
    encoder, reader = HeartbeatEncoder(), HeartbeatDecoder()
    for at in range(0, min(len(data), 560), 14):
        numbers = [int.from_bytes(data[at + i : at + i + 2], "big") for i in range(0, 14, 2)]
        told = reader.decode(encoder.encode(Load(*numbers)))
        if at == 0:
            assert told == Load(*numbers)


def bodies(data: bytes) -> Iterator[bytes]:
    """Yield the bodies: a byte says how long each is."""
    at = 0
    while at < len(data):
        yield data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]


def seeds() -> Iterable[bytes]:
    """Return what a node says over some minutes."""
    encoder = HeartbeatEncoder()
    told = [encoder.encode(Load(each, 2 * each, 3, each << 9, 7, each, 900 + each)) for each in range(0, 640, 10)]
    yield b"".join(bytes([len(body)]) + body for body in told)
    yield b"\x03\x81\x00\xff"
    readings = [{READINGS_FROM + 8 * pod: 7 * each for pod in range(each % 5)} for each in range(12)]
    told = [encoder.encode(Load(), each) for each in readings]
    yield b"".join(bytes([len(body)]) + body for body in told)
