"""The verb ``update``: replace an object, or a view of it."""

from __future__ import annotations

import orjson

from cloudcore.apiserver import strategy
from cloudcore.apiserver.change import change
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.views import view_of
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.store.base import Record
from protocol.objects.keys import Body


async def update(registry: Registry, target: Target, body: Body, context: Context) -> Record:
    """Replace an object and return it as stored.

    An absent ``resourceVersion`` replaces unconditionally.

    Raises:
        Conflict: The object changed since the revision the body names.
        Invalid: Fields are wrong.
        NotFound: There is no such object.
    """
    view = view_of(target, "update")
    require_object(target.kind, body)
    encoded = orjson.dumps(body)

    def replacement(_present: Body) -> Body:
        # A fresh copy each time: an attempt that lost a race has changed the one it was given.
        fresh: Body = orjson.loads(encoded)
        if view.is_whole:
            strategy.address(target, fresh, target.version)
        return fresh

    return await change(registry, target, view, replacement, context)
