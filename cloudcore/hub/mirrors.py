"""Makes the mirrors that nodes ask for: pods that show what a node runs from a file of its own.

A node asks as often as it likes: a mirror that is there is left alone, one of another version of the file is replaced,
and a pod that is no mirror of this node keeps its name.
"""

from __future__ import annotations

from typing import Final

from cloudcore.client import Client
from cloudcore.errors import AlreadyExists, Conflict, NotFound, TooManyRequests
from cloudcore.hub import reports
from cloudcore.hub.reports import Refused
from cloudcore.hub.router import Router
from cloudcore.store.base import Record, Store
from protocol.messages import Item
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.mirrors import is_mirror, mirrored_uid
from protocol.objects.resources import NODES, PODS

MAX_MIRRORS: Final = 1000
"""Of one node: as many as its agent runs pods at most."""
_ATTEMPTS: Final = 4


class MirrorPods:
    """Makes mirrors.

    Args:
        store: Read for what has the name already.
        client: Writes.
        router: Knows the nodes and their pods.
    """

    def __init__(self, store: Store, client: Client, router: Router) -> None:
        self._store = store
        self._client = client
        self._router = router

    async def make(self, node: NodeName, item: Item) -> Uid:
        """Make the mirror that ``item`` asks for and return its uid, or that of the one that is there.

        Raises:
            Refused: It is not the node's to ask for, or its name is another pod's.
            ApiError: The API refuses it.
        """
        record = self._router.record(ObjectKey(NODES, "", node))
        if record is None:
            raise Refused("NotFound", f"there is no node {node}")
        mirror = reports.mirror_of(item, node, record.uid)
        for _ in range(_ATTEMPTS):
            there = await self._there(item.key)
            if there is None:
                self._check_room(node)
                try:
                    return Uid((await self._client.create(PODS, mirror))["metadata"]["uid"])
                except AlreadyExists:
                    continue
            if _is_same(there, mirror, node):
                return there.uid
            try:
                await self._client.delete(PODS, item.key.namespace, item.key.name, uid=there.uid, grace_s=0)
            except (NotFound, Conflict):
                continue
        raise TooManyRequests(f"{item.key} is being written by others", retry_after_s=1)

    async def _there(self, key: ObjectKey) -> Record | None:
        try:
            return await self._store.get(key)
        except NotFound:
            return None

    def _check_room(self, node: NodeName) -> None:
        held = sum(entry.key.resource == PODS for entry in self._router.slice_of(node))
        if held >= MAX_MIRRORS:
            raise Refused("Forbidden", f"node {node} has {held} pods: no more mirrors are made")


def _is_same(there: Record, mirror: Body, node: NodeName) -> bool:
    """Tell whether ``mirror`` is there already; False where an older one is in its place.

    Raises:
        Refused: The name is that of a pod which is no mirror of this node.
    """
    pod = there.decode()
    if not is_mirror(pod) or (pod.get("spec") or {}).get("nodeName") != node:
        raise Refused("AlreadyExists", f"{there.key} is there and is no mirror of node {node}")
    return mirrored_uid(pod) == mirrored_uid(mirror) and "deletionTimestamp" not in pod["metadata"]
