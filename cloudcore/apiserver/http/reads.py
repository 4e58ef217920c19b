"""``get``, ``list`` and ``watch`` over HTTP."""

from __future__ import annotations

import random
from typing import Final

from aiohttp import web

from cloudcore.apiserver.get import get
from cloudcore.apiserver.http.call import Call
from cloudcore.apiserver.http.listing import send_list
from cloudcore.apiserver.http.listoptions import check_list, check_watch
from cloudcore.apiserver.http.query import Query
from cloudcore.apiserver.http.responses import respond
from cloudcore.apiserver.list import ListOptions, list_objects
from cloudcore.apiserver.watch import WatchOptions, watch

_WATCH_S: Final = 1800.0
"""Watches without a time limit end after this to twice this, spread so that clients do not return together."""


async def handle_get(call: Call) -> web.StreamResponse:
    """Answer with one object."""
    record = await get(call.registry, call.target)
    return respond(call.request, call.renderer.one(record), call.representation)


async def handle_list(call: Call) -> web.StreamResponse:
    """Answer with a list."""
    check_list(call.query)
    page = await list_objects(call.registry, call.target, list_options(call.query))
    return await send_list(call.request, page, call.renderer, call.representation)


def list_options(query: Query) -> ListOptions:
    """Read a list's options.

    Raises:
        BadRequest: One cannot be read.
    """
    return ListOptions(
        label_selector=query.text("labelSelector"),
        field_selector=query.text("fieldSelector"),
        limit=query.number("limit") or 0,
        continue_token=query.text("continue"),
        resource_version=query.text("resourceVersion"),
        resource_version_match=query.text("resourceVersionMatch"),
    )


async def handle_watch(call: Call) -> web.StreamResponse:
    """Stream changes until the client goes or the time is up."""
    query = call.query
    check_watch(query)
    options = WatchOptions(
        label_selector=query.text("labelSelector"),
        field_selector=query.text("fieldSelector"),
        resource_version=query.text("resourceVersion"),
        bookmarks=query.flag("allowWatchBookmarks"),
        send_initial_events=query.flag("sendInitialEvents"),
    )
    timeout_s = float(query.number("timeoutSeconds") or random.uniform(_WATCH_S, 2 * _WATCH_S))
    events = watch(call.registry, call.target, options)
    return await call.streams.serve(call.request, events, call.renderer, timeout_s=timeout_s)
