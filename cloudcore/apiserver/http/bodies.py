"""Request bodies: read within a bound, decoded from JSON, YAML or protobuf into plain objects."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import orjson
from aiohttp import StreamReader, web

from cloudcore.apiserver.http.negotiation import JSON, PROTOBUF, YAML, body_type
from cloudcore.apiserver.http.protobuf import decode_protobuf
from cloudcore.apiserver.http.yamlbody import load as load_yaml
from cloudcore.errors import BadRequest, Cause, RequestEntityTooLarge
from protocol.objects.keys import Body

MAX_BODY_BYTES: Final = 3 * 1024 * 1024
"""As Kubernetes has it: an object at its largest with room for the request around it."""

BODY_S: Final = 30.0
"""Who takes longer to send a body must not hold the room of a request."""

_YAML_THREAD: Final = ThreadPoolExecutor(1, "yaml")
"""Reading YAML is slow. One thread takes the documents in turn, so that many cost the loop no more than one does."""


async def read_object(request: web.BaseRequest, *, optional: bool = False, strict: bool = False) -> Body:
    """Read a request's body, which must be an object, decoded by its ``Content-Type``.

    Args:
        request: The request.
        optional: An empty body is an empty object.
        strict: Refuse a JSON body that names a field twice; else the last counts.

    Raises:
        BadRequest: It is not well-formed, no object, or names a field twice where that is not to be.
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`.
        UnsupportedMediaType: Its type is not known.
    """
    data = await read_body(request)
    if optional and not data:
        return {}
    content_type = request.headers.get("Content-Type", "")
    if body_type(content_type) != YAML:
        body = decode_object(data, content_type)
        if strict and body_type(content_type) == JSON:
            refuse_duplicates(data)
        return body
    return await asyncio.get_running_loop().run_in_executor(_YAML_THREAD, decode_object, data, content_type)


class _Repeating(dict[str, Any]):
    """An object of which the text names fields more than once."""

    repeated: tuple[str, ...] = ()


def refuse_duplicates(data: bytes) -> None:
    """Refuse a well-formed JSON document that names a field of an object twice.

    Raises:
        BadRequest: It does; the causes name the fields.
    """
    seen: list[_Repeating] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) == len(pairs):
            return fields
        repeating = _Repeating(fields)
        times = Counter(name for name, _ in pairs)
        repeating.repeated = tuple(name for name in fields if times[name] > 1)
        seen.append(repeating)
        return repeating

    document = json.loads(data, object_pairs_hook=note)
    if seen:
        paths = list(_repeated(document, ""))
        told = [f'duplicate field "{path}"' for path in paths]
        causes = [Cause("FieldValueInvalid", text, path) for text, path in zip(told, paths, strict=True)]
        raise BadRequest(f"strict decoding error: {', '.join(told)}", causes=causes)


def _repeated(node: Any, path: str) -> Iterator[str]:
    """Yield the paths of the fields that are named more than once."""
    if isinstance(node, _Repeating):
        yield from (f"{path}{name}" for name in node.repeated)
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _repeated(value, f"{path}{name}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _repeated(value, f"{path.removesuffix('.')}[{index}].")


async def read_configuration(request: web.BaseRequest) -> Body:
    """Read the body of an apply, an object in YAML.

    Most clients send JSON, which is YAML too and read as such much faster.

    Raises:
        BadRequest: It is not well-formed, or no object.
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`.
    """
    data = await read_body(request)
    if data.lstrip()[:1] == b"{":
        try:
            return decode_object(data, JSON)
        except BadRequest:
            pass  # YAML has a flow style that begins alike
    return await asyncio.get_running_loop().run_in_executor(_YAML_THREAD, decode_object, data, YAML)


async def read_body(request: web.BaseRequest) -> bytes:
    """Read a request's body.

    Raises:
        BadRequest: It takes longer than :data:`BODY_S`.
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`, as sent or once decompressed.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    content = request.content
    if content.is_eof():
        parts = [await content.readany()]
    else:
        try:
            async with asyncio.timeout(BODY_S):
                parts = await _read_parts(content)
        except TimeoutError:
            raise BadRequest(f"the body did not arrive within {BODY_S:g} s") from None
    if sum(map(len, parts)) > MAX_BODY_BYTES:
        raise _too_large()
    return b"".join(parts)


async def _read_parts(content: StreamReader) -> list[bytes]:
    """Read to the end, or until it is too much."""
    parts: list[bytes] = []
    size = 0
    while not content.at_eof() and size <= MAX_BODY_BYTES:
        parts.append(await content.readany())
        size += len(parts[-1])
    return parts


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY_BYTES}")


def decode(data: bytes, content_type: str) -> Any:
    """Decode a body by its ``Content-Type``.

    Raises:
        BadRequest: It is not well-formed.
        UnsupportedMediaType: Its type is not known.
    """
    media_type = body_type(content_type)
    if media_type == PROTOBUF:
        return decode_protobuf(data)
    return decode_yaml(data) if media_type == YAML else decode_json(data)


def decode_object(data: bytes, content_type: str) -> Body:
    """Decode a body that must be an object.

    Raises:
        BadRequest: It is not well-formed, or no object.
        UnsupportedMediaType: Its type is not known.
    """
    body = decode(data, content_type)
    if not isinstance(body, dict):
        raise BadRequest("the object provided is unrecognized: the body must be an object")
    return body


def decode_json(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        BadRequest: It is not well-formed.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the object provided is unrecognized: json parse error: {error}") from error


def decode_yaml(data: bytes) -> Any:
    """Decode one YAML document into what JSON could have said.

    Raises:
        BadRequest: It is not well-formed, nests too deep, or grows too large through its aliases.
    """
    try:
        return load_yaml(data)
    except (ValueError, OverflowError) as error:
        first_line = str(error).replace("\n", " ")
        raise BadRequest(f"the object provided is unrecognized: yaml parse error: {first_line}") from error
