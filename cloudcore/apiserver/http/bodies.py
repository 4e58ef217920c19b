"""Request bodies: read within a bound, decoded from JSON, YAML or protobuf into plain objects."""

from __future__ import annotations

from typing import Any, Final

import orjson
import yaml
from aiohttp import web

from cloudcore.apiserver.http.negotiation import PROTOBUF, YAML, body_type
from cloudcore.apiserver.http.protobuf import decode_protobuf
from cloudcore.errors import BadRequest, RequestEntityTooLarge
from protocol.objects.keys import Body

MAX_BODY_BYTES: Final = 3 * 1024 * 1024
"""As Kubernetes has it: an object at its largest with room for the request around it."""

_MAX_YAML_NODES: Final = 500_000
_MAX_YAML_DEPTH: Final = 200


async def read_body(request: web.BaseRequest) -> bytes:
    """Read a request's body.

    Raises:
        RequestEntityTooLarge: It is over :data:`MAX_BODY_BYTES`, as sent or once decompressed.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    content = request.content
    data = await content.readany()
    if content.at_eof():
        return data
    parts, size = [data], len(data)
    while not content.at_eof():
        part = await content.readany()
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


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
        document = yaml.load(data, Loader=_JsonLoader)
        return _Plain().copy(document, 0)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first_line = str(error).replace("\n", " ")
        raise BadRequest(f"the object provided is unrecognized: yaml parse error: {first_line}") from error


class _JsonLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where it is built
    """The safe loader without timestamps: to the API a date is text."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _JsonLoader.yaml_implicit_resolvers.items()
}


class _Plain:
    """Copies a YAML document with text keys, each alias expanded, within a bound on nodes and depth."""

    def __init__(self) -> None:
        self._left = _MAX_YAML_NODES

    def copy(self, node: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MAX_YAML_DEPTH:
            raise ValueError("the document is too large or nests too deep")
        if isinstance(node, dict):
            return {self._key(key): self.copy(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self.copy(item, depth + 1) for item in node]
        if node is None or isinstance(node, str | int | float):
            return node
        raise ValueError(f"a value of type {type(node).__name__} has no place in JSON")

    @staticmethod
    def _key(key: Any) -> str:
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, str | int | float):
            return str(key)
        raise ValueError("a mapping's key must be text")
