"""The verb ``update``: replace an object, or a view of it."""

from __future__ import annotations

import orjson

from cloudcore.apiserver import failures, strategy
from cloudcore.apiserver.change import change
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.views import view_of
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.errors import AlreadyExists, NotFound
from cloudcore.store.base import Record
from protocol.objects.keys import Body

_ATTEMPTS = 8
"""Whoever puts an object may race with its deletion; more than this means a storm."""


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


async def put(registry: Registry, target: Target, body: Body, context: Context) -> tuple[Record, bool]:
    """Replace an object, or create it where its kind lets a ``PUT`` do that; return it and whether it is new.

    A body that names the uid of an object that is gone creates no other in its place; a ``resourceVersion`` alone says
    nothing about a new object.

    Raises:
        Conflict: As for :func:`update`, or the body names an object that is gone.
        Forbidden: There is no such object, and the user may not create it.
        Invalid: Fields are wrong.
        NotFound: There is no such object, and this does not make one.
    """
    if not target.kind.put_creates or target.subresource:
        return await update(registry, target, body, context), False
    encoded = orjson.dumps(body)
    for _ in range(_ATTEMPTS):
        try:
            return await update(registry, target, body, context), False
        except NotFound:
            if await _is_there(registry, target):
                raise  # what is missing is something that the object names
        context.require("create")
        try:
            return await create(registry, target, _new(target, orjson.loads(encoded)), context), True
        except AlreadyExists:
            continue
    raise failures.conflict(target.kind, target.name)


async def _is_there(registry: Registry, target: Target) -> bool:
    try:
        await stored(registry, target)
    except NotFound:
        return False
    return True


def _new(target: Target, body: Body) -> Body:
    """Return ``body`` as that of an object to be created under the path's name."""
    require_object(target.kind, body)
    strategy.address(target, body, target.version)
    metadata = body["metadata"]
    metadata.pop("resourceVersion", None)
    if metadata.get("uid"):
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
        raise failures.conflict(target.kind, target.name, why)
    return body
