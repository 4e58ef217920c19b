"""Answers: bytes with a type, compressed where that pays, indented or in YAML where asked for."""

from __future__ import annotations

import gzip
from typing import Any, Final

import orjson
import yaml
from aiohttp import web

from cloudcore.apiserver.http.negotiation import JSON, YAML, Representation
from cloudcore.apiserver.http.status import failure
from cloudcore.errors import ApiError

COMPRESS_FROM_BYTES: Final = 128 * 1024
"""Smaller answers go as they are: on a local network the compressor costs more than the bytes."""

PLAIN: Final = Representation()
"""JSON, as it is."""

_NO_CACHE: Final = "no-cache, private"


def accepts_gzip(request: web.BaseRequest) -> bool:
    """Tell whether the client takes gzip."""
    return "gzip" in request.headers.get("Accept-Encoding", "")


def wants_pretty(request: web.BaseRequest) -> bool:
    """Tell whether the client wants indented JSON: it says so, or is a person's browser or curl."""
    target = request.raw_path
    return "pretty=" in target and "pretty=false" not in target and "pretty=0" not in target


def respond(
    request: web.BaseRequest,
    body: bytes,
    representation: Representation,
    *,
    status: int = 200,
    warnings: list[str] | None = None,
) -> web.Response:
    """Answer with an encoded JSON document.

    Args:
        request: What is answered.
        body: JSON.
        representation: What the client gets.
        status: HTTP status.
        warnings: Texts for ``Warning`` headers.
    """
    if representation.media_type == YAML:
        body = to_yaml(body)
    elif wants_pretty(request):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n"
    headers = {"Content-Type": representation.content_type, "Cache-Control": _NO_CACHE}
    if len(body) >= COMPRESS_FROM_BYTES and accepts_gzip(request):
        body = gzip.compress(body, 1, mtime=0)
        headers["Content-Encoding"] = "gzip"
        headers["Vary"] = "Accept-Encoding"
    response = web.Response(body=body, status=status, headers=headers)
    for text in warnings or ():
        response.headers.add("Warning", warning_header(text))
    return response


def respond_object(
    request: web.BaseRequest,
    body: Any,
    representation: Representation = PLAIN,
    *,
    status: int = 200,
    warnings: list[str] | None = None,
) -> web.Response:
    """Answer with a document that is not encoded yet."""
    return respond(request, orjson.dumps(body), representation, status=status, warnings=warnings)


def respond_compressed(request: web.BaseRequest, compressed: bytes, content_type: str = JSON) -> web.Response:
    """Answer with a document that is kept gzip-compressed."""
    headers = {"Content-Type": content_type, "Vary": "Accept-Encoding", "Cache-Control": _NO_CACHE}
    if accepts_gzip(request):
        return web.Response(body=compressed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=gzip.decompress(compressed), headers=headers)


def respond_failure(request: web.BaseRequest, error: ApiError) -> web.Response:
    """Answer with the ``Status`` of an error."""
    response = respond_object(request, failure(error), status=error.code)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def to_yaml(body: bytes) -> bytes:
    """Return a JSON document as YAML."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(orjson.loads(body), Dumper=dumper, sort_keys=True, encoding="utf-8", allow_unicode=True)


def warning_header(text: str) -> str:
    """Return a ``Warning`` header's value (RFC 7234, 5.5: code 299, no agent)."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'
