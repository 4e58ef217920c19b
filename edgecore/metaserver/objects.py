"""The objects as this device knows them now: what the cloud wants, what is true here, and what is on its way up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edgecore.meta.base import Desired
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.kinds import BY_RESOURCE
from edgecore.metaserver.prediction import predicted
from edgecore.metaserver.writes import Write
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import NODES, PODS

PENDING: str = "edge.aiokubeedge.io/pending-write"
"""Annotation of what the device shows of an object that has writes on their way: the id of the last of them."""
_WITH_STATUS = frozenset({PODS, NODES})

StatusOf = Callable[[ObjectKey, Uid], Body]
"""Returns the newest status this device has reported; empty where there is none."""


class Objects:
    """Reads of the device's objects; they share parts with the store, and must not be changed.

    Args:
        desired: What the device holds.
        status_of: Knows the statuses.
        writes: Returns the writes upon an object that do not show in ``desired`` yet, oldest first.
        written: Returns the objects with such writes.
    """

    def __init__(
        self,
        desired: Desired,
        status_of: StatusOf,
        writes: Callable[[ObjectKey], Iterable[Write]] = lambda _: (),
        written: Callable[[], Iterable[ObjectKey]] = tuple,
    ) -> None:
        self._desired = desired
        self._status_of = status_of
        self._writes = writes
        self._written = written

    def true(self, key: ObjectKey) -> Body | None:
        """Return an object without what is on its way up."""
        held = self._desired.get(key)
        if held is None:
            return None
        body = held.body
        if "apiVersion" not in body:
            kind = BY_RESOURCE.get(key.resource)
            if kind is not None:
                body = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        if key.resource in _WITH_STATUS and (status := self._status_of(key, held.uid)):
            return {**body, "status": status}
        return body

    def get(self, key: ObjectKey) -> Body | None:
        """Return an object, or None where there is none."""
        body = self.true(key)
        last = None
        for write in self._writes(key):
            try:
                body = predicted(body, write)
            except Failure:
                continue  # what came from the cloud meanwhile does not take this patch: the cloud will refuse it
            last = write
        if body is None or last is None:
            return body
        metadata = body["metadata"]
        annotations = {**(metadata.get("annotations") or {}), PENDING: last.id}
        return {**body, "metadata": {**metadata, "annotations": annotations}}

    def after(self, write: Write) -> Body | None:
        """Return what a write would make of its object as it is shown now.

        Raises:
            Failure: The write does not apply.
        """
        return None if isinstance(write.body, bytes) else predicted(self.get(write.key), write)

    def list(self, resource: str, namespace: str = "") -> Iterator[tuple[ObjectKey, Body]]:
        """Yield the objects of ``resource`` by namespace and name; only of one namespace, where one is given."""
        keys = {held.key for held in self._desired.list(resource)}
        keys |= {key for key in self._written() if key.resource == resource}
        for key in sorted(keys):
            if namespace in ("", key.namespace) and (body := self.get(key)) is not None:
                yield key, body

    def base_of(self, key: ObjectKey) -> tuple[Uid, int]:
        """Return uid and content version under which the cloud knows an object; of none, an empty uid and 0."""
        held = self._desired.get(key)
        return (Uid(""), 0) if held is None else (held.uid, held.version)
