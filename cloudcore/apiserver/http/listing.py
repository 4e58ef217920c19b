"""Lists over HTTP: small ones at once, long ones in pieces between which the loop goes on."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from cloudcore.apiserver.http.negotiation import YAML, Representation
from cloudcore.apiserver.http.rendering import Renderer
from cloudcore.apiserver.http.responses import COMPRESS_FROM_BYTES, accepts_gzip, respond, to_yaml, wants_pretty
from cloudcore.apiserver.list import Page

STALL_S: Final = 30.0
"""A client that takes nothing for so long is gone: it must not hold the room of a request."""

_PIECE_RECORDS: Final = 100
_GZIP_WBITS: Final = 31
_FASTEST: Final = 1


async def send_list(
    request: web.BaseRequest, page: Page, renderer: Renderer, representation: Representation
) -> web.StreamResponse:
    """Answer with a list."""
    pieces = _pieces(page, renderer)
    long = sum(len(record.tail) for record in page.records) >= COMPRESS_FROM_BYTES
    if not long or representation.media_type == YAML or wants_pretty(request):
        body = b"".join([piece async for piece in pieces])
        if long and representation.media_type == YAML:
            body = await asyncio.to_thread(to_yaml, body)
            return web.Response(body=body, headers={"Content-Type": YAML})
        return respond(request, body, representation)
    return await _stream(request, pieces, representation)


async def _pieces(page: Page, renderer: Renderer) -> AsyncIterator[bytes]:
    records = page.records
    yield renderer.list_head(page)
    for start in range(0, len(records), _PIECE_RECORDS):
        if start:
            await asyncio.sleep(0)
        piece = b",".join([renderer.item(record) for record in records[start : start + _PIECE_RECORDS]])
        yield b"," + piece if start else piece
    yield b"]}"


async def _stream(
    request: web.BaseRequest, pieces: AsyncIterator[bytes], representation: Representation
) -> web.StreamResponse:
    headers = {"Content-Type": representation.content_type, "Cache-Control": "no-cache, private"}
    compressor = zlib.compressobj(_FASTEST, wbits=_GZIP_WBITS) if accepts_gzip(request) else None
    if compressor is not None:
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for piece in pieces:
            out = piece if compressor is None else compressor.compress(piece)
            if out:
                async with asyncio.timeout(STALL_S):
                    await response.write(out)
        async with asyncio.timeout(STALL_S):
            await response.write_eof(b"" if compressor is None else compressor.flush())
    except TimeoutError:
        raise ConnectionResetError("the client does not read its answer") from None
    return response
