"""A client whose writes are in the cache before they return.

This is how controllers keep from acting on a cache that does not have their own last write: the store has one global
revision, so after each create, update, patch or delete it is enough to wait until the informer of that resource has
reached the revision of the answer. Kubernetes' controllers keep "expectations" for the same purpose.

Only resources that somebody has an informer of are waited for. There is no end to the wait: a caller that went on
with a stale cache might create its objects twice. A wait that outlasts ``patience_s`` (a store that fails, a reflector
that lists again) is logged as a warning each time.
"""

from __future__ import annotations

import asyncio

import structlog

from cloudcore.client import Client, Patch, PatchType, Propagation
from cloudcore.informers.factory import Informers
from protocol.objects.keys import Body, Revision, Uid

log = structlog.get_logger(__name__)


class ReadYourWrites:
    """Implements :class:`cloudcore.client.Client` on top of another one.

    Args:
        client: What writes.
        informers: What is waited for.
        patience_s: After how long a wait for one write is logged, seconds.
    """

    def __init__(self, client: Client, informers: Informers, *, patience_s: float = 30.0) -> None:
        self._client = client
        self._informers = informers
        self._patience_s = patience_s

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        """Return the object as the store has it (a live read)."""
        return await self._client.get(resource, namespace, name)

    async def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Return the objects that match, as the store has them (a live read)."""
        return await self._client.list(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )

    async def create(self, resource: str, body: Body) -> Body:
        """Create an object and wait until the cache has it."""
        return await self._seen(resource, await self._client.create(resource, body))

    async def update(self, resource: str, body: Body, *, subresource: str = "") -> Body:
        """Replace an object and wait until the cache has it."""
        return await self._seen(resource, await self._client.update(resource, body, subresource=subresource))

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
        """Patch an object and wait until the cache has it."""
        answer = await self._client.patch(resource, namespace, name, patch, kind=kind, subresource=subresource)
        return await self._seen(resource, answer)

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
        """Delete an object, or begin to, and wait until the cache knows."""
        answer = await self._client.delete(
            resource, namespace, name, uid=uid, revision=revision, grace_s=grace_s, propagation=propagation
        )
        return await self._seen(resource, answer)

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        """Bind a pod to a node; the answer carries no revision, so nothing is waited for."""
        await self._client.bind(namespace, name, node, uid=uid)

    async def _seen(self, resource: str, answer: Body) -> Body:
        informer = self._informers.existing(resource)
        revision = answer.get("metadata", {}).get("resourceVersion", "")
        if informer is None or not revision.isdecimal():
            return answer
        while informer.revision < int(revision):
            try:
                async with asyncio.timeout(self._patience_s):
                    await informer.wait_revision(int(revision))
            except TimeoutError:
                log.warning("cache lags", resource=resource, revision=revision, reached=informer.revision)
        return answer
