"""Request bodies: read within a bound, decoded from JSON, YAML or protobuf into plain objects."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import orjson
from aiohttp import StreamReader, web

from cloudcore.apiserver.context import Context
from cloudcore.apiserver.http.negotiation import JSON, PROTOBUF, YAML, body_type
from cloudcore.apiserver.http.protobuf import decode_protobuf
from cloudcore.apiserver.http.repetitions import repetitions
from cloudcore.apiserver.http.yamlbody import Document
from cloudcore.apiserver.http.yamlbody import load as load_yaml
from cloudcore.apiserver.validation.strictness import report
from cloudcore.errors import BadRequest, RequestEntityTooLarge
from protocol.objects.keys import Body

MAX_BODY_BYTES: Final = 3 * 1024 * 1024
"""As Kubernetes has it: an object at its largest with room for the request around it."""

BODY_S: Final = 30.0
"""Who takes longer to send a body must not hold the room of a request."""

_YAML_THREAD: Final = ThreadPoolExecutor(1, "yaml")
"""Reading YAML is slow. One thread takes the documents in turn, so that many cost the loop no more than one does."""


async def read_object(request: web.BaseRequest, *, optional: bool = False, context: Context | None = None) -> Body:
    """Read a request's body, which must be an object, decoded by its ``Content-Type``.

    Args:
        request: The request.
        optional: An empty body is an empty object.
        context: Who asks; fields that the text names twice are reported as it wants. Without it the last counts.

    Raises:
        BadRequest: It is not well-formed, no object, or names a field twice where that is not to be.
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`.
        UnsupportedMediaType: Its type is not known.
    """
    data = await read_body(request)
    if optional and not data:
        return {}
    content_type = request.headers.get("Content-Type", "")
    media_type = body_type(content_type)
    if media_type == YAML:
        return await _read_yaml(data, context)
    return _object(read_json(data, context)) if media_type == JSON else decode_object(data, content_type)


async def read_configuration(request: web.BaseRequest, context: Context) -> Body:
    """Read the body of an apply, an object in YAML; fields it names twice are reported as ``context`` wants.

    Most clients send JSON, which is YAML too and read as such much faster.

    Raises:
        BadRequest: It is not well-formed, no object, or names a field twice where that is not to be.
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`.
    """
    data = await read_body(request)
    if data.lstrip()[:1] == b"{":
        try:
            body = decode_object(data, JSON)
        except BadRequest:
            pass  # YAML has a flow style that begins alike
        else:
            _report_repetitions(data, context)
            return body
    return await _read_yaml(data, context)


def read_json(data: bytes, context: Context | None) -> Any:
    """Decode JSON, and report the fields that it names twice as ``context`` wants.

    Raises:
        BadRequest: It is not well-formed, or names a field twice where that is not to be.
    """
    value = decode_json(data)
    _report_repetitions(data, context)
    return value


def _report_repetitions(data: bytes, context: Context | None) -> None:
    if context is not None and context.field_validation != "Ignore":
        report(repetitions(data), context)


async def _read_yaml(data: bytes, context: Context | None) -> Body:
    document = await asyncio.get_running_loop().run_in_executor(_YAML_THREAD, _parse_yaml, data)
    body = _object(document.value)
    if context is not None:
        report(document.repeated, context)
    return body


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
    return _object(decode(data, content_type))


def _object(body: Any) -> Body:
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
    return _parse_yaml(data).value


def _parse_yaml(data: bytes) -> Document:
    try:
        return load_yaml(data)
    except (ValueError, OverflowError) as error:
        first_line = str(error).replace("\n", " ")
        raise BadRequest(f"the object provided is unrecognized: yaml parse error: {first_line}") from error
