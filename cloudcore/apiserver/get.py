"""The verb ``get``."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources import views
from cloudcore.errors import NotFound
from cloudcore.store.base import Record


async def get(registry: Registry, target: Target) -> Record:
    """Return an object, or the view of it that ``target.subresource`` is.

    Raises:
        NotFound: There is no such object.
        MethodNotAllowed: The subresource cannot be read.
    """
    record = await stored(registry, target)
    view = views.view_of(target, "get")
    return record if view.is_whole else views.rendered(view, record)


async def stored(registry: Registry, target: Target) -> Record:
    """Return the object's record, from the store or from the provider of a virtual kind.

    Raises:
        NotFound: There is no such object.
    """
    kind = target.kind
    if kind.virtual:
        record = registry.virtual_record(kind, target.name, target.namespace)
        if record is None:
            raise failures.not_found(kind, target.name)
        return record
    try:
        return await registry.store.get(target.key)
    except NotFound:
        raise failures.not_found(kind, target.name) from None
