"""Writes on their way to the cloud: in which order they go, and what became of them. Sans-IO.

A write is kept until the cloud has answered it. They go one at a time, oldest first, each under an id that the cloud
knows a repeat by. What the cloud refuses is kept for people to see, the newest :data:`MAX_REFUSED`.

==========================  ==========================================================================================
a write                     in the cloud, when its turn comes
==========================  ==========================================================================================
create                      creates; refused where the name is taken by then
update with a version       replaces, where but for the status nothing has changed since the state that its writer saw
update without              replaces
patch                       patches what is there then; one that names a version, only as an update does
delete                      deletes the object that its writer saw, by uid; one that is gone counts as deleted
any upon a refused one      that names a version: refused too, for its writer saw what never came to be
==========================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgecore.metaserver.failures import Failure
from protocol.objects.keys import ObjectKey

MAX_WRITES: Final = 1000
MAX_BYTES: Final = 16 << 20
MAX_OF_A_POD: Final = 500
"""Of the two bounds, a pod may take half: another's write must find room."""
MAX_REFUSED: Final = 100
PREVIOUS: Final = -1
"""In place of a version: the one that the write before it, upon the same object, will have made."""


@dataclass(frozen=True, slots=True)
class Author:
    """The pod that writes, and as whom."""

    namespace: str
    account: str
    pod: str
    uid: str


@dataclass(frozen=True, slots=True)
class Write:
    """One write.

    Attributes:
        id: Unique for ever.
        at: When it was made, seconds since the epoch by the device's clock.
        author: Who made it.
        verb: ``create``, ``update``, ``patch`` or ``delete``.
        path: The path it was sent to.
        key: The object; a created one has its name here.
        subresource: What of it: ``status``; empty for the object.
        content_type: The body's type; it tells one patch from another.
        query: Parameters that matter to the cloud: ``fieldManager``, ``force``, ``propagationPolicy``.
        body: The decoded body.
        uid: The uid the object must have; empty for any.
        version: The content version it must have, or :data:`PREVIOUS`; 0 for any.
        size: Bytes of the body.
    """

    id: str
    at: float
    author: Author
    verb: str
    path: str
    key: ObjectKey
    subresource: str = ""
    content_type: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    uid: str = ""
    version: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A write that the cloud refused.

    Attributes:
        write: Which.
        at: When, seconds since the epoch.
        reason: A CamelCase word.
        message: One sentence for a person.
    """

    write: Write
    at: float
    reason: str
    message: str


class WriteQueue:
    """The writes that the cloud has not answered, and the refused ones.

    Args:
        pending: What an earlier process kept, oldest first.
        refused: What had been refused, oldest first.
    """

    def __init__(self, pending: Iterable[Write] = (), refused: Iterable[Refused] = ()) -> None:
        self.refused = list(refused)[-MAX_REFUSED:]
        known = {each.write.id for each in self.refused}
        self._pending = {write.id: write for write in pending if write.id not in known}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._pending)

    def __iter__(self) -> Iterator[Write]:
        """Iterate over what waits, oldest first."""
        return iter(list(self._pending.values()))

    @property
    def size_bytes(self) -> int:
        """Bytes of bodies that wait."""
        return sum(write.size for write in self._pending.values())

    def head(self) -> Write | None:
        """Return the write whose turn it is."""
        return next(iter(self._pending.values()), None)

    def upon(self, key: ObjectKey) -> list[Write]:
        """Return what waits of one object, oldest first."""
        return [write for write in self._pending.values() if write.key == key]

    def require_room(self, write: Write) -> None:
        """Check that there is room for one more.

        Raises:
            Failure: There is none.
        """
        of_pod = [each for each in self._pending.values() if each.author.uid == write.author.uid]
        full = len(self._pending) >= MAX_WRITES or self.size_bytes + write.size > MAX_BYTES
        pod_full = len(of_pod) >= MAX_OF_A_POD or sum(each.size for each in of_pod) + write.size > MAX_BYTES // 2
        if full or pod_full:
            message = "the cloud cannot be reached, and as many writes as this device keeps wait for it"
            raise Failure("TooManyRequests", message, retry_after_s=30)

    def add(self, write: Write) -> None:
        """Take a write that is on disk."""
        self._pending[write.id] = write

    def settled(self, write_id: str, version: int) -> list[Write]:
        """Take the cloud's word that a write is done; return those that have to be kept anew first.

        Args:
            write_id: Which.
            version: The content version that it made.
        """
        done = self._pending.pop(write_id, None)
        follower = self._follower(done)
        if follower is None:
            return []
        self._pending[follower.id] = replace(follower, version=version)
        return [self._pending[follower.id]]

    def refuse(self, write_id: str, now: float, reason: str, message: str) -> list[Refused]:
        """Take the cloud's refusal of a write; return what is refused by it, the ones made upon it included."""
        refused: list[Refused] = []
        write = self._pending.pop(write_id, None)
        while write is not None:
            refused.append(Refused(write, now, reason, message))
            write = self._follower(write)
            if write is not None:
                del self._pending[write.id]
                reason, message = "Conflict", f"made upon write {refused[-1].write.id}, which was refused"
        self.refused = [*self.refused, *refused][-MAX_REFUSED:]
        return refused

    def _follower(self, done: Write | None) -> Write | None:
        """Return the next write upon the same object, where it must find what ``done`` has made."""
        if done is None:
            return None
        following = next(iter(self.upon(done.key)), None)
        return following if following is not None and following.version == PREVIOUS else None
