"""Digest of what a side holds, and the difference between two holdings.

The digest is the sum, modulo 2^128, of one hash per held object. It does not depend on order, and a change updates
it by one subtraction and one addition. It guards against accidents, not against an adversary: both sides of a
session are authenticated, and an edge that lies about its own holding only misleads itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from protocol.messages import InventoryEntry
from protocol.objects.keys import ObjectKey, Revision, Uid

DIGEST_BYTES = 16

_MODULUS = 1 << (8 * DIGEST_BYTES)


class Digest:
    """An incremental digest of a holding.

    Args:
        incarnation: The incarnation of the store that the held versions belong to; holdings of different
            incarnations never have equal digests.
        entries: What is held to begin with.
    """

    __slots__ = ("_salt", "_sum", "count", "incarnation")

    def __init__(self, incarnation: str, entries: Iterable[InventoryEntry] = ()) -> None:
        self.incarnation = incarnation
        self.count = 0
        self._salt = blake2b(incarnation.encode(), digest_size=16).digest()
        self._sum = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: InventoryEntry) -> None:
        """Take note that ``entry`` is held now."""
        self._sum = (self._sum + self._hash(entry)) % _MODULUS
        self.count += 1

    def remove(self, entry: InventoryEntry) -> None:
        """Take note that ``entry``, which was added, is held no longer."""
        self._sum = (self._sum - self._hash(entry)) % _MODULUS
        self.count -= 1

    @property
    def value(self) -> bytes:
        """The digest, :data:`DIGEST_BYTES` long; all zero for an empty holding."""
        return self._sum.to_bytes(DIGEST_BYTES, "big")

    def _hash(self, entry: InventoryEntry) -> int:
        # Kubernetes names contain no NUL, so the joined fields cannot run into one another.
        text = "\0".join((*entry.key, entry.uid, str(entry.version)))
        return int.from_bytes(blake2b(text.encode(), digest_size=DIGEST_BYTES, key=self._salt).digest(), "big")


class Difference(NamedTuple):
    """What turns a holding into the wanted one.

    Attributes:
        to_send: Objects to put: missing, or held in another version or with another uid.
        to_delete: Objects to delete: held, and not wanted under that uid.
    """

    to_send: list[ObjectKey]
    to_delete: list[InventoryEntry]


def difference(
    held: Iterable[InventoryEntry],
    wanted: Mapping[ObjectKey, tuple[Uid, Revision]],
    *,
    same_incarnation: bool = True,
) -> Difference:
    """Return what to send to a node that holds ``held`` and should hold ``wanted``.

    Versions are compared by inequality only: the node may hold one that is newer than the store's, after a restore
    from a backup.

    Args:
        held: The node's inventory.
        wanted: Uid and version of each object of the node's slice.
        same_incarnation: Whether the held versions belong to the store's incarnation. If not, they mean nothing
            and every wanted object is sent.
    """
    to_delete: list[InventoryEntry] = []
    current: set[ObjectKey] = set()
    for entry in held:
        target = wanted.get(entry.key)
        if target is None or target[0] != entry.uid:
            to_delete.append(entry)
        elif same_incarnation and target[1] == entry.version:
            current.add(entry.key)
    return Difference([key for key in wanted if key not in current], to_delete)
