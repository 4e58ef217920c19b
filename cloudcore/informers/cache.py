"""The cache: one resource's objects as of one revision, with named indexes. Sans-IO.

Bodies are decoded once (:mod:`cloudcore.informers.holding` says what of them) and shared by all readers, who treat them
as read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, ObjectKey, Revision

IndexFunction = Callable[[Body], Iterable[str]]
"""Returns the values under which an object is found in an index; none keeps it out."""

_NOTHING: Mapping[ObjectKey, Body] = MappingProxyType({})


class _Index:
    """Objects by the values that one function gives them."""

    __slots__ = ("_buckets", "function")

    def __init__(self, function: IndexFunction) -> None:
        self.function = function
        self._buckets: dict[str, dict[ObjectKey, Body]] = {}

    def replace(self, key: ObjectKey, old: Body | None, new: Body | None) -> None:
        """Move ``key`` from the values of ``old`` to those of ``new``."""
        after = frozenset(self.function(new)) if new is not None else frozenset()
        if old is not None:
            for value in frozenset(self.function(old)) - after:
                self._discard(value, key)
        if new is not None:
            for value in after:
                self._buckets.setdefault(value, {})[key] = new

    def bucket(self, value: str) -> Mapping[ObjectKey, Body]:
        """Return the objects under ``value``."""
        return self._buckets.get(value, _NOTHING)

    def values(self) -> list[str]:
        """Return every value that has objects."""
        return list(self._buckets)

    def _discard(self, value: str, key: ObjectKey) -> None:
        bucket = self._buckets.get(value)
        if bucket is None:
            return
        bucket.pop(key, None)
        if not bucket:
            del self._buckets[value]


class Cache:
    """Objects of one resource, complete up to :attr:`revision`.

    Args:
        resource: The group-resource held.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.revision = Revision(0)
        self._objects: dict[ObjectKey, Body] = {}
        self._indexes: dict[str, _Index] = {"namespace": _Index(_namespace_of)}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Body]:
        return iter(list(self._objects.values()))

    def get(self, key: ObjectKey) -> Body | None:
        """Return the object, or None; O(1)."""
        return self._objects.get(key)

    def keys(self) -> list[ObjectKey]:
        """Return the keys of all objects."""
        return list(self._objects)

    def list(self, *, index: str | None = None, value: str = "") -> list[Body]:
        """Return all objects, or those that ``index`` has under ``value``, in no stated order.

        Raises:
            LocalProtocolError: There is no index of that name.
        """
        if index is None:
            return list(self._objects.values())
        return list(self._index(index).bucket(value).values())

    def index_values(self, index: str) -> Iterable[str]:
        """Return the values under which ``index`` has any object.

        Raises:
            LocalProtocolError: There is no index of that name.
        """
        return self._index(index).values()

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index from now on, over what is held already too. Adding the same again changes nothing.

        Raises:
            LocalProtocolError: The name is taken by another function.
        """
        present = self._indexes.get(name)
        if present is not None:
            if present.function is not function:
                raise LocalProtocolError(f"index {name!r} of {self.resource} exists with another function")
            return
        index = _Index(function)
        for key, body in self._objects.items():
            index.replace(key, None, body)
        self._indexes[name] = index

    def put(self, key: ObjectKey, body: Body) -> Body | None:
        """Hold ``body`` (which the cache takes over) and return what it replaces."""
        old = self._objects.get(key)
        self._objects[key] = body
        for index in self._indexes.values():
            index.replace(key, old, body)
        return old

    def remove(self, key: ObjectKey) -> Body | None:
        """Forget an object and return it; None when it was not held."""
        old = self._objects.pop(key, None)
        if old is not None:
            for index in self._indexes.values():
                index.replace(key, old, None)
        return old

    def _index(self, name: str) -> _Index:
        try:
            return self._indexes[name]
        except KeyError:
            raise LocalProtocolError(f"{self.resource} has no index {name!r}") from None


def _namespace_of(body: Body) -> Iterable[str]:
    return (body["metadata"].get("namespace", ""),)
