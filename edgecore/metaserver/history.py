"""What has changed on this device, by revisions of its own that only grow. Sans-IO.

Each life of the agent has a block of revisions: those of an earlier life are older than all of its own, and whoever
comes back with one lists again (``Expired``). A change is kept for watchers as the JSON they are sent, and with what
selectors look at, before and after; the oldest go first, by number and by bytes.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgecore.metaserver.failures import expired
from edgecore.metaserver.kinds import BY_RESOURCE, field_value
from protocol.objects.keys import Body, ObjectKey

MAX_CHANGES: Final = 2000
MAX_CHANGE_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Facets:
    """What selectors look at.

    Attributes:
        labels: The object's labels.
        fields: The fields that its kind selects by.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        revision: Its revision, the object's ``resourceVersion`` from then on.
        key: Which object.
        before: What selectors saw of it before; None where it was not there.
        after: What they see now; None where it is no more.
        data: The object as JSON; of one that is no more, its last state.
    """

    revision: int
    key: ObjectKey
    before: Facets | None
    after: Facets | None
    data: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    revision: int
    uid: str
    digest: bytes
    facets: Facets


def facets_of(key: ObjectKey, body: Body) -> Facets:
    """Return what selectors look at."""
    kind = BY_RESOURCE[key.resource]
    fields = {path: field_value(kind, body, path) for path in kind.fields}
    fields |= {"metadata.name": key.name, "metadata.namespace": key.namespace}
    return Facets(dict(body["metadata"].get("labels") or {}), fields)


def encoded(body: Body, revision: int) -> bytes:
    """Return an object as JSON, with a revision as its ``resourceVersion``."""
    metadata = {**body["metadata"], "resourceVersion": str(revision)}
    return json.dumps({**body, "metadata": metadata}, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "replace"
    )


class History:
    """The revisions of the objects on this device, and its latest changes.

    Args:
        base: A number that no earlier life's revisions have reached.
        max_changes: Changes that are kept at most.
        max_bytes: Bytes of objects in them at most; the newest change is kept in any case.

    Attributes:
        revision: The newest revision.
    """

    def __init__(self, base: int, *, max_changes: int = MAX_CHANGES, max_bytes: int = MAX_CHANGE_BYTES) -> None:
        self.revision = base
        self._floor = base
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._bytes = 0
        self._changes: list[Change] = []
        self._known: dict[ObjectKey, _Known] = {}

    def seed(self, objects: Iterable[tuple[ObjectKey, Body]]) -> None:
        """Take note of what is there from the start; nobody has watched before."""
        for key, body in objects:
            self._know(key, body)

    def revision_of(self, key: ObjectKey) -> int:
        """Return the revision at which an object last changed."""
        known = self._known.get(key)
        return self.revision if known is None else known.revision

    def observe(self, key: ObjectKey, body: Body | None, last: Body | None = None) -> bool:
        """Take note of how an object is now; tell whether that is new.

        Args:
            key: Which object.
            body: The object, without a ``resourceVersion``; None where it is no more.
            last: Its last state, where it is no more.
        """
        known = self._known.get(key)
        if body is not None and known is not None and known.uid == _uid(body):
            if known.digest == _digest(body):
                return False
            self._changed(key, known.facets, body)
            return True
        if known is not None:
            self._gone(key, known, last)
        if body is not None:
            self._changed(key, None, body)
        return known is not None or body is not None

    def since(self, revision: int) -> Sequence[Change]:
        """Return the changes after ``revision``.

        Raises:
            Failure: They are not kept any more, or it is no revision of this life: list again.
        """
        if revision < self._floor:
            raise expired(f"too old resource version: {revision} ({self._floor})")
        if revision > self.revision:
            raise expired(f"resource version {revision} is not of this device's present life ({self.revision})")
        return self._changes[bisect_right(self._changes, revision, key=lambda each: each.revision) :]

    def _changed(self, key: ObjectKey, before: Facets | None, body: Body) -> None:
        self.revision += 1
        known = self._know(key, body)
        self._keep(Change(self.revision, key, before, known.facets, encoded(body, self.revision)))

    def _gone(self, key: ObjectKey, known: _Known, last: Body | None) -> None:
        self.revision += 1
        del self._known[key]
        body = last or {"metadata": {"name": key.name, "namespace": key.namespace, "uid": known.uid}}
        self._keep(Change(self.revision, key, known.facets, None, encoded(body, self.revision)))

    def _know(self, key: ObjectKey, body: Body) -> _Known:
        known = self._known[key] = _Known(self.revision, _uid(body), _digest(body), facets_of(key, body))
        return known

    def _keep(self, change: Change) -> None:
        self._changes.append(change)
        self._bytes += len(change.data)
        over = 0
        while len(self._changes) - over > 1 and (
            len(self._changes) - over > self._max_changes or self._bytes > self._max_bytes
        ):
            self._bytes -= len(self._changes[over].data)
            self._floor = self._changes[over].revision
            over += 1
        del self._changes[:over]

    def check_invariants(self) -> None:
        """Raise AssertionError where what is kept contradicts itself."""
        revisions = [change.revision for change in self._changes]
        assert revisions == sorted(set(revisions)), "revisions grow"
        assert not revisions or self._floor < revisions[0], "the floor is below what is kept"
        assert self._bytes == sum(len(change.data) for change in self._changes), "bytes"
        assert all(known.revision <= self.revision for known in self._known.values()), "objects' revisions"


def _uid(body: Body) -> str:
    return str(body["metadata"].get("uid", ""))


def _digest(body: Body) -> bytes:
    text = json.dumps(body, separators=(",", ":"), sort_keys=True).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).digest()
