from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.http import bodies
from cloudcore.apiserver.http.bodies import decode_json, decode_object, decode_yaml
from cloudcore.errors import BadRequest, RequestEntityTooLarge


def test_yaml_says_what_json_could() -> None:
    assert decode_yaml(b"a: 2026-01-01\nb: {2: x, true: y}\nc: [1, 2.5, null, yes]") == {
        "a": "2026-01-01",
        "b": {"2": "x", "true": "y"},
        "c": [1, 2.5, None, True],
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: !!python/object/apply:os.system [x]",
        "a: !!binary aGk=",
        "? [a]\n: b",
        "a: 1\n---\nb: 2",
        "&a [*a]",
        "[" * 300 + "]" * 300,
        "a: .inf",
        "a: .nan",
        f"a: {'1' * 5000}",
        f"a: 1{':59' * 30_000}",
        f"a: 1{':59' * 30_000}.5",
    ],
)
def test_yaml_that_cannot_be_taken(text: str) -> None:
    with pytest.raises(BadRequest):
        decode_yaml(text.encode())


def test_aliases_do_not_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadRequest, match="too large"):
        decode_yaml("\n".join(lines).encode())


@pytest.mark.parametrize("unit", [b"[", b"{a: ", b"- ", b"? "])
def test_nesting_of_any_depth_is_refused_and_not_followed(unit: bytes) -> None:
    with pytest.raises(BadRequest, match="nests too deep"):
        decode_yaml(unit * 200_000)


def test_merge_keys_do_not_multiply_without_bound() -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)]
    with pytest.raises(BadRequest, match="too large"):
        decode_yaml("\n".join(lines).encode())


def test_a_number_that_64_bits_cannot_hold_is_read_as_json_reads_it() -> None:
    assert decode_yaml(b"[9223372036854775807, 123456789012345678901]") == [2**63 - 1, 123456789012345678901.0]


def test_an_ordinary_document_with_anchors_is_taken() -> None:
    text = b"base: &base {image: x, env: [a, b]}\none: {<<: *base, image: y}\ntwo: *base\n"
    base = {"image": "x", "env": ["a", "b"]}
    assert decode_yaml(text) == {"base": base, "one": {**base, "image": "y"}, "two": base}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 5000])
def test_json_that_cannot_be_taken(data: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_json(data)


@pytest.mark.parametrize("data", [b"[]", b"1", b'"x"', b"null"])
def test_a_body_must_be_an_object(data: bytes) -> None:
    with pytest.raises(BadRequest, match="must be an object"):
        decode_object(data, "application/json")


@given(st.binary(max_size=300))
def test_what_the_yaml_decoder_takes_is_json(data: bytes) -> None:
    try:
        decoded = decode_yaml(data)
    except BadRequest:
        return
    assert decode_json(json.dumps(decoded, allow_nan=False).encode()) == decoded


def body_stream() -> StreamReader:
    protocol = BaseProtocol(asyncio.get_running_loop())
    protocol.connection_made(asyncio.Transport())
    return StreamReader(protocol, 2**25)


async def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.0)
    content = body_stream()
    content.feed_data(b"{")
    request = SimpleNamespace(content_length=None, content=content)
    with pytest.raises(BadRequest, match="did not arrive"):
        await bodies.read_body(cast(web.BaseRequest, request))


@pytest.mark.parametrize("ended", [True, False])
async def test_a_body_is_measured_as_it_is_decompressed(ended: bool) -> None:
    content = body_stream()
    content.feed_data(bytes(bodies.MAX_BODY_BYTES + 1))
    if ended:
        content.feed_eof()
    request = SimpleNamespace(content_length=10, content=content)
    with pytest.raises(RequestEntityTooLarge):
        await bodies.read_body(cast(web.BaseRequest, request))


TWICE = [
    ("application/json", b'{"metadata":{"name":"q"},"data":{"a":"1","a":"2"}}', 'duplicate field "data.a"'),
    (
        "application/yaml",
        b"metadata: {name: q}\ndata:\n  a: '1'\n  'a': '2'\n",
        'line 4: key "a" already set in map',
    ),
]
"""Bodies that name a field twice, and what is said of it."""


@pytest.mark.parametrize(("content_type", "text", "slip"), TWICE)
async def test_fields_that_are_named_twice_are_refused_warned_of_or_ignored(
    admin: aiohttp.ClientSession, content_type: str, text: bytes, slip: str
) -> None:
    path, headers = "/api/v1/namespaces/default/configmaps", {"Content-Type": content_type}
    async with admin.post(f"{path}?fieldValidation=Strict", data=text, headers=headers) as response:
        assert (response.status, (await response.json())["message"]) == (400, f"strict decoding error: {slip}")
    async with admin.post(f"{path}?fieldValidation=Ignore&dryRun=All", data=text, headers=headers) as response:
        assert (response.status, response.headers.getall("Warning", [])) == (201, [])
    async with admin.post(path, data=text, headers=headers) as response:
        assert (await response.json())["data"] == {"a": "2"}
        assert [warning for warning in response.headers.getall("Warning") if slip in warning.replace("\\", "")]


@pytest.mark.parametrize(
    ("patch_type", "text", "slip"),
    [
        ("application/merge-patch+json", b'{"data":{"a":"1","a":"2"}}', 'duplicate field "data.a"'),
        ("application/strategic-merge-patch+json", b'{"data":{"a":"1","a":"2"}}', 'duplicate field "data.a"'),
        ("application/json-patch+json", b'[{"op":"add","op":"test","path":"/x"}]', 'duplicate field "[0].op"'),
        *(
            ("application/apply-patch+yaml", b"apiVersion: v1\nkind: ConfigMap\n" + text, slip)
            for _, text, slip in TWICE[1:]
        ),
        ("application/apply-patch+yaml", TWICE[0][1], TWICE[0][2]),
    ],
)
async def test_patches_that_name_a_field_twice_are_refused(
    admin: aiohttp.ClientSession, patch_type: str, text: bytes, slip: str
) -> None:
    path = "/api/v1/namespaces/default/configmaps/q?fieldValidation=Strict"
    path += "&fieldManager=me" if "apply" in patch_type else ""
    async with admin.patch(path, data=text, headers={"Content-Type": patch_type}) as response:
        message = (await response.json())["message"]
    assert (response.status, message.startswith("strict decoding error: ")) == (400, True)
    assert slip.removeprefix("line 4: ") in message
