"""Which nodes hold which objects: turns the store's changes into items for nodes. Performs no I/O.

A node's slice is its Node; its Pods; what those Pods name, and the volumes that their claims are bound to; the
Services and EndpointSlices of their namespaces; the Devices that name it, and their DeviceModels.
The slice is never stored as a list: it follows from :class:`~cloudcore.hub.placements.Placements` and the records,
so it cannot disagree with them. What is stored per node is the digest of its slice, changed with each change.

Of an object the router keeps the store's own record, which costs a reference; its projection is encoded when the
first attached node needs it, and that one item is shared by every node that is sent it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import msgpack

from cloudcore.hub.placements import NOBODY, Moved, Placement, Placements
from cloudcore.store.base import Change, ChangeType, Record
from protocol.digest import Digest
from protocol.messages import NO_DIGEST, InventoryEntry, Item, Op
from protocol.objects.devices import DEVICE_MODELS, DEVICES, model_of
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision
from protocol.objects.projections import NAMESPACE_RESOURCES, SLICE_RESOURCES, projection
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS, NODES, PERSISTENT_VOLUMES, PODS

PLACED: Final = frozenset({PODS, DEVICES})
"""Resources whose objects say themselves which node they are for."""

ENCODED_LIMIT: Final = 512
"""Encoded projections kept for the next node that needs them, least recently used dropped first."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One item and the attached nodes it is for."""

    item: Item
    nodes: Collection[NodeName]


class Router:
    """The slices of all nodes.

    Deliveries are made for attached nodes only; slices and digests are kept for all.

    Args:
        incarnation: The store's; versions and digests belong to it.
    """

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._records: dict[str, dict[ObjectKey, Record]] = {resource: {} for resource in SLICE_RESOURCES}
        self._placements = Placements()
        self._in_namespace: dict[str, set[ObjectKey]] = {}
        self._digests: dict[NodeName, Digest] = {}
        self._attached: set[NodeName] = set()
        self._encoded: OrderedDict[ObjectKey, Item] = OrderedDict()

    def attach(self, node: NodeName) -> None:
        """Begin to make deliveries for ``node``; before its inventory is compared, so that nothing falls between."""
        self._attached.add(node)

    def detach(self, node: NodeName) -> None:
        """Make no more deliveries for ``node``."""
        self._attached.discard(node)

    def record(self, key: ObjectKey) -> Record | None:
        """Return the newest record of ``key`` that was observed; None where no slice can hold it."""
        of_resource = self._records.get(key.resource)
        return of_resource.get(key) if of_resource is not None else None

    def records(self, resource: str) -> Collection[Record]:
        """Return the newest records of ``resource``."""
        return self._records[resource].values()

    def node_of(self, pod: ObjectKey) -> NodeName | None:
        """Return the node that ``pod``, or a Device, is bound to."""
        return self._placements.node_of(pod)

    def digest(self, node: NodeName) -> bytes:
        """Return the digest of the slice of ``node``."""
        digest = self._digests.get(node)
        return digest.value if digest is not None else NO_DIGEST

    def count(self, node: NodeName) -> int:
        """Return how many objects the slice of ``node`` has."""
        digest = self._digests.get(node)
        return digest.count if digest is not None else 0

    def contains(self, node: NodeName, key: ObjectKey) -> bool:
        """Tell whether ``node`` holds ``key``, or would hold it if it existed."""
        return node in self._nodes_of(key)

    def slice_of(self, node: NodeName) -> Iterator[InventoryEntry]:
        """Yield an entry per object that ``node`` holds, in no particular order."""
        namespaces = self._placements.namespaces_of(node)
        keys = chain(
            (ObjectKey(NODES, "", node),),
            self._placements.pods_of(node),
            self._placements.needs_of(node),
            *(self._in_namespace.get(namespace, ()) for namespace in namespaces),
        )
        for key in keys:
            record = self.record(key)
            if record is not None:
                yield _entry(record)

    def item(self, key: ObjectKey) -> Item | None:
        """Return the put of the object's projection, encoded at most once per version; None if it is not there."""
        record = self.record(key)
        return None if record is None else self._put(record)

    def replace(self, resource: str, records: Collection[Record], revision: Revision) -> list[Delivery]:
        """Take over a complete list of ``resource`` as of ``revision``; what it lacks is gone."""
        deliveries: list[Delivery] = []
        listed = {record.key for record in records}
        for key in self._records[resource].keys() - listed:
            deliveries += self._removed(key, revision)
        for record in records:
            deliveries += self._changed(record)
        return deliveries

    def observe(self, change: Change) -> list[Delivery]:
        """Take note of one committed change and return what nodes must be sent, in order.

        Changes must come in revision order. A change of the status alone leads to nothing.
        """
        if change.record.key.resource not in SLICE_RESOURCES:
            return []
        if change.type is ChangeType.DELETED:
            return self._removed(change.record.key, change.revision)
        return self._changed(change.record)

    def check_invariants(self) -> None:
        """Raise AssertionError where the indexes or digests disagree with the slices they stand for."""
        self._placements.check_invariants()
        for node in {*self._digests, *self._attached}:
            whole = Digest(self._incarnation, self.slice_of(node))
            assert whole.value == self.digest(node), f"digest of {node}"

    def _changed(self, record: Record) -> list[Delivery]:
        key = record.key
        before = self.record(key)
        if before is not None and before.uid != record.uid:
            # Its deletion was not seen (a list after a gap). The old uid still has to end on its own.
            return self._removed(key, record.revision) + self._changed(record)
        self._records[key.resource][key] = record
        if before is not None and before.content_revision == record.content_revision:
            return []
        self._encoded.pop(key, None)
        if key.resource in NAMESPACE_RESOURCES:
            self._in_namespace.setdefault(key.namespace, set()).add(key)
        if key.resource in PLACED:
            return self._placed_changed(record, before)
        nodes = self._nodes_of(key)
        self._count(nodes, before, record)
        return self._deliver_put(record, nodes) + self._follow_claim(record)

    def _placed_changed(self, record: Record, before: Record | None) -> list[Delivery]:
        key = record.key
        old_node = self._placements.node_of(key)
        moved = self._placements.place(key, self._placement_of(record))
        new_node = self._placements.node_of(key)
        gained = self._gained(moved)
        if old_node is not None and before is not None:
            self._count((old_node,), before, None)
        if new_node is not None:
            self._count((new_node,), None, record)
            gained += self._deliver_put(record, (new_node,))
        if old_node is not None and before is not None and old_node != new_node:
            gained += self._deliver_delete(before, record.revision, (old_node,))
        return gained + self._lost(moved, record.revision)

    def _removed(self, key: ObjectKey, revision: Revision) -> list[Delivery]:
        before = self.record(key)
        if before is None:
            return []
        nodes = self._nodes_of(key)
        moved = self._placements.place(key, None) if key.resource in PLACED else Moved()
        del self._records[key.resource][key]
        self._encoded.pop(key, None)
        if key.resource in NAMESPACE_RESOURCES:
            self._leave_namespace(key)
        self._count(nodes, before, None)
        deliveries = self._deliver_delete(before, revision, nodes) + self._lost(moved, revision)
        return deliveries + self._follow_claim(before)

    def _placement_of(self, placed: Record) -> Placement | None:
        body = placed.decode()
        node = (body.get("spec") or {}).get("nodeName")
        if not node:
            return None
        if placed.key.resource == DEVICES:
            return Placement(NodeName(node), _models(placed.key, body), in_namespace=False)
        named = pod_references(body)
        return Placement(NodeName(node), named | {volume for key in named if (volume := self._volume_of(key))})

    def _volume_of(self, key: ObjectKey) -> ObjectKey | None:
        """Return the volume that a claim is bound to."""
        claim = self.record(key) if key.resource == CLAIMS else None
        name = (claim.decode().get("spec") or {}).get("volumeName") if claim is not None else None
        return ObjectKey(PERSISTENT_VOLUMES, "", name) if name else None

    def _follow_claim(self, claim: Record) -> list[Delivery]:
        """Give the nodes of a claim's pods the volume that it is bound to by now, or take it from them."""
        if claim.key.resource != CLAIMS:
            return []
        deliveries: list[Delivery] = []
        for pod in self._placements.pods_needing(claim.key):
            record = self.record(pod)
            if record is not None:
                moved = self._placements.place(pod, self._placement_of(record))
                deliveries += self._gained(moved) + self._lost(moved, claim.revision)
        return deliveries

    def _leave_namespace(self, key: ObjectKey) -> None:
        keys = self._in_namespace[key.namespace]
        keys.discard(key)
        if not keys:
            del self._in_namespace[key.namespace]

    def _nodes_of(self, key: ObjectKey) -> Collection[NodeName]:
        if key.resource == NODES:
            return (NodeName(key.name),)
        if key.resource in PLACED:
            node = self._placements.node_of(key)
            return NOBODY if node is None else (node,)
        if key.resource in NAMESPACE_RESOURCES:
            return self._placements.nodes_in(key.namespace)
        return self._placements.nodes_needing(key)

    def _gained(self, moved: Moved) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for node, record in self._records_of(moved.gained, moved.entered):
            self._count((node,), None, record)
            deliveries += self._deliver_put(record, (node,))
        return deliveries

    def _lost(self, moved: Moved, revision: Revision) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for node, record in self._records_of(moved.lost, moved.left):
            self._count((node,), record, None)
            deliveries += self._deliver_delete(record, revision, (node,))
        return deliveries

    def _records_of(
        self, objects: list[tuple[NodeName, ObjectKey]], namespaces: list[tuple[NodeName, str]]
    ) -> Iterator[tuple[NodeName, Record]]:
        for node, key in objects:
            record = self.record(key)
            if record is not None:
                yield node, record
        for node, namespace in namespaces:
            for key in self._in_namespace.get(namespace, ()):
                yield node, self._records[key.resource][key]

    def _count(self, nodes: Collection[NodeName], before: Record | None, after: Record | None) -> None:
        """Take ``before`` out of, and ``after`` into, the digests of ``nodes``."""
        for node in nodes:
            digest = self._digests.get(node)
            if digest is None:
                digest = self._digests[node] = Digest(self._incarnation)
            if before is not None:
                digest.remove(_entry(before))
            if after is not None:
                digest.add(_entry(after))
            if not digest.count:
                del self._digests[node]

    def _deliver_put(self, record: Record, nodes: Collection[NodeName]) -> list[Delivery]:
        attached = self._attached.intersection(nodes)
        return [Delivery(self._put(record), attached)] if attached else []

    def _deliver_delete(self, record: Record, revision: Revision, nodes: Collection[NodeName]) -> list[Delivery]:
        attached = self._attached.intersection(nodes)
        item = Item(Op.DELETE, record.key, record.uid, revision)
        return [Delivery(item, attached)] if attached else []

    def _put(self, record: Record) -> Item:
        item = self._encoded.get(record.key)
        if item is None:
            body = msgpack.packb(projection(record.key.resource, record.decode()))
            item = self._encoded[record.key] = Item(Op.PUT, record.key, record.uid, record.content_revision, body)
            if len(self._encoded) > ENCODED_LIMIT:
                self._encoded.popitem(last=False)
        else:
            self._encoded.move_to_end(record.key)
        return item


def _models(device: ObjectKey, body: Body) -> frozenset[ObjectKey]:
    """Return the DeviceModel that a Device refers to."""
    name = model_of(body)
    return frozenset((ObjectKey(DEVICE_MODELS, device.namespace, name),)) if name else frozenset()


def _entry(record: Record) -> InventoryEntry:
    return InventoryEntry(record.key, record.uid, record.content_revision)
