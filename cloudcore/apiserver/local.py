"""The in-process client: the API's verbs without HTTP, on the same registry."""

from __future__ import annotations

import orjson

from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.delete import DeleteOptions, delete
from cloudcore.apiserver.get import get
from cloudcore.apiserver.list import ListOptions, list_objects
from cloudcore.apiserver.patch import patch
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.binding import bind
from cloudcore.apiserver.update import update
from cloudcore.client import Patch, PatchType, Propagation
from protocol.objects.keys import Body, Revision, Uid
from protocol.objects.resources import PODS


class LocalClient:
    """Implements :class:`cloudcore.client.Client` on a registry.

    Args:
        registry: What to work on.
        user: Who the writes are by; a ``system:`` name for the cloud's own parts.
    """

    def __init__(self, registry: Registry, user: str = "system:cloudcore") -> None:
        self._registry = registry
        # In-process bodies are made by our own code or replayed from devices: unknown fields are dropped silently,
        # which is also what keeps the shared warnings list empty.
        self._context = Context(user, groups=("system:masters",), field_validation="Ignore")

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        """Return the object. See :meth:`cloudcore.client.Client.get`."""
        return (await get(self._registry, self._target(resource, namespace, name))).decode()

    async def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Return the objects that match. See :meth:`cloudcore.client.Client.list`."""
        options = ListOptions(label_selector=label_selector, field_selector=field_selector)
        page = await list_objects(self._registry, self._target(resource, namespace or ""), options)
        return [record.decode() for record in page.records]

    async def create(self, resource: str, body: Body) -> Body:
        """Create an object. See :meth:`cloudcore.client.Client.create`."""
        target = self._target(resource, body["metadata"].get("namespace", ""))
        return (await create(self._registry, target, _copied(body), self._context)).decode()

    async def update(self, resource: str, body: Body, *, subresource: str = "") -> Body:
        """Replace an object or a subresource of it. See :meth:`cloudcore.client.Client.update`."""
        metadata = body["metadata"]
        target = self._target(resource, metadata.get("namespace", ""), metadata["name"], subresource)
        return (await update(self._registry, target, body, self._context)).decode()

    async def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: Patch,
        *,
        kind: PatchType = "merge",
        subresource: str = "",
    ) -> Body:
        """Patch an object. See :meth:`cloudcore.client.Client.patch`."""
        target = self._target(resource, namespace, name, subresource)
        return (await _patch(self._registry, target, patch, self._context, kind=kind)).decode()

    async def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        uid: Uid | None = None,
        revision: Revision | None = None,
        grace_s: int | None = None,
        propagation: Propagation = "Background",
    ) -> Body:
        """Delete an object, or begin to. See :meth:`cloudcore.client.Client.delete`."""
        options = DeleteOptions(uid=uid, revision=revision, grace_s=grace_s, propagation=propagation)
        deletion = await delete(self._registry, self._target(resource, namespace, name), self._context, options)
        return deletion.record.decode()

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        """Bind a pod to a node. See :meth:`cloudcore.client.Client.bind`."""
        await bind(self._registry, self._target(PODS, namespace, name), node, self._context, uid=uid)

    def _target(self, resource: str, namespace: str, name: str = "", subresource: str = "") -> Target:
        return Target(self._registry.kinds.of(resource), namespace, name, subresource)


_patch = patch


def _copied(body: Body) -> Body:
    """Return a copy that the verb may use up while the caller keeps its own."""
    copy: Body = orjson.loads(orjson.dumps(body))
    return copy
