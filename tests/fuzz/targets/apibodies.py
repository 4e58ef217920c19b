"""Bodies of API requests: JSON, YAML, protobuf. Only ``ApiError`` may come, and what passes is JSON."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import orjson

from cloudcore.apiserver.http.bodies import decode_json, decode_yaml
from cloudcore.apiserver.http.protobuf import decode_protobuf
from cloudcore.errors import ApiError
from tests.fuzz.bounds import at_most

FACTOR: Final = 1024
"""YAML's aliases may make a document of a hundred thousand nodes out of little; that is the floor below."""
ALIASES_BYTES: Final = 64 << 20


def one_input(data: bytes) -> None:
    """Read ``data`` as each of them, as its first byte says."""
    if not data:
        return
    decode = (decode_json, decode_yaml, decode_protobuf)[data[0] % 3]
    try:
        with at_most(len(data), FACTOR, floor_bytes=ALIASES_BYTES):
            body = decode(data[1:])
    except ApiError:
        return
    refusal = "recursion"
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        refusal = str(error).lower()
    assert "recursion" in refusal, "orjson reads deeper than it writes, and the store has a limit; nothing else may be"


def field(number: int, content: bytes) -> bytes:
    """Return one protobuf field of bytes, of fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


def seeds() -> Iterable[bytes]:
    """Return a pod in each form."""
    yield b"\x00" + b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"a"}]}}'
    yield (
        b"\x01"
        + b"apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: &l {a: b, c: *l}}\nspec: !!map {? [a] : b}\n"
    )
    yield b"\x01a: &a [x, x, x]\nb: &b [*a, *a]\nc: [*b, *b, 0x1f, 1e3, .inf, 2001-01-01, !!binary aGk=]\n<<: {x: y}\n"
    time = field(8, b"\x08" + b"\x80\x80\x80\x80\x05")
    meta = field(1, field(1, b"web") + field(3, b"default") + field(11, field(1, b"app") + field(2, b"x")) + time)
    container = field(2, field(1, b"a") + field(2, b"image") + field(3, b"sh"))
    limits = field(8, field(1, field(1, b"cpu") + field(2, field(1, b"100m"))))
    spec = field(2, container + field(2, field(1, b"b") + limits))
    kind = field(1, field(1, b"v1") + field(2, b"Pod"))
    yield b"\x02" + b"k8s\0" + kind + field(2, meta + spec)
    yield b"\x02" + b"k8s\0" + kind + b"\x09" + struct.pack("<d", 1.5)
