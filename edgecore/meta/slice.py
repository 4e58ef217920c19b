"""This node's slice of the cluster in memory: encoded as it lies on disk, decoded when somebody reads it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgpack

from edgecore.meta.base import Held
from edgecore.meta.engine import ObjectRow
from protocol.objects.keys import Body, ObjectKey

DECODED_BUDGET_BYTES = 4 << 20
"""Encoded size of the objects that are kept decoded too; a decoded one takes some five times that."""


class UndecodableBody(ValueError):
    """A body is not the msgpack of an object."""


def decode(body: bytes) -> Body:
    """Decode a projection.

    Raises:
        UndecodableBody: It is not the msgpack of a Kubernetes object with a name.
    """
    try:
        decoded = msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise UndecodableBody(f"body is not msgpack: {error}") from error
    if not isinstance(decoded, dict) or not isinstance(decoded.get("metadata"), dict):
        raise UndecodableBody("body is not an object with metadata")
    return decoded


class Slice:
    """The held objects. The owner changes it only after a commit.

    Args:
        rows: What the database holds.
        decoded_budget_bytes: How much, by encoded size, stays decoded; least recently read goes first.

    Attributes:
        size_bytes: Encoded bytes held.
    """

    def __init__(self, rows: Iterable[ObjectRow] = (), *, decoded_budget_bytes: int = DECODED_BUDGET_BYTES) -> None:
        self._by_resource: dict[str, dict[ObjectKey, ObjectRow]] = {}
        self._decoded: OrderedDict[ObjectKey, Held] = OrderedDict()
        self._decoded_bytes = 0
        self._budget = decoded_budget_bytes
        self.size_bytes = 0
        for row in rows:
            self.put(row)

    def __len__(self) -> int:
        return sum(map(len, self._by_resource.values()))

    def __iter__(self) -> Iterator[ObjectRow]:
        for rows in self._by_resource.values():
            yield from rows.values()

    def row(self, key: ObjectKey) -> ObjectRow | None:
        """Return the encoded object."""
        return self._by_resource.get(key.resource, {}).get(key)

    def get(self, key: ObjectKey) -> Held | None:
        """Return the decoded object."""
        row = self.row(key)
        return None if row is None else self._held(row)

    def list(self, resource: str) -> Sequence[Held]:
        """Return the decoded objects of ``resource``."""
        return [self._held(row) for row in self._by_resource.get(resource, {}).values()]

    def count_of(self, resource: str) -> int:
        """Return how many objects of ``resource`` are held."""
        return len(self._by_resource.get(resource, ()))

    def put(self, row: ObjectRow) -> None:
        """Hold ``row`` instead of what its key held."""
        self.drop(row.key)
        self._by_resource.setdefault(row.key.resource, {})[row.key] = row
        self.size_bytes += len(row.body)

    def drop(self, key: ObjectKey) -> None:
        """Hold nothing under ``key``."""
        self._forget(key)
        rows = self._by_resource.get(key.resource, {})
        row = rows.pop(key, None)
        if row is not None:
            self.size_bytes -= len(row.body)
            if not rows:
                del self._by_resource[key.resource]

    def _held(self, row: ObjectRow) -> Held:
        held = self._decoded.get(row.key)
        if held is not None:
            self._decoded.move_to_end(row.key)
            return held
        held = Held(row.key, row.uid, row.version, decode(row.body))
        if len(row.body) <= self._budget:
            self._decoded[row.key] = held
            self._decoded_bytes += len(row.body)
            while self._decoded_bytes > self._budget:
                self._forget(next(iter(self._decoded)))
        return held

    def _forget(self, key: ObjectKey) -> None:
        if self._decoded.pop(key, None) is not None:
            row = self.row(key)
            self._decoded_bytes -= len(row.body) if row is not None else 0
