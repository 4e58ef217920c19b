"""The writes a store takes, each judged against the state it would change. Performs no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from cloudcore.errors import AlreadyExists, ApiError, Conflict, NotFound
from cloudcore.store.base import Change, ChangeType, Record
from protocol.objects.keys import ObjectKey, Revision, Uid


class Waiter(Protocol):
    """Takes the outcome of a write; an ``asyncio.Future`` is one."""

    def done(self) -> bool:
        """Whether the outcome is there already, or nobody waits for it any more."""

    def set_result(self, result: Record, /) -> None:
        """Give the result."""

    def set_exception(self, exception: ApiError, /) -> None:
        """Give the error."""


class Write(ABC):
    """One write that waits for its group.

    Attributes:
        key: The object.
        volatile: Whether the write may be lost in a crash.
        size_bytes: What it adds to its group.
        waiter: Who wants the outcome.
    """

    __slots__ = ("key", "size_bytes", "volatile", "waiter")

    def __init__(self, key: ObjectKey, waiter: Waiter, *, volatile: bool = False, size_bytes: int = 0) -> None:
        self.key = key
        self.waiter = waiter
        self.volatile = volatile
        self.size_bytes = size_bytes

    @abstractmethod
    def judge(self, current: Record | None, revision: Revision) -> Change | None:
        """Return the change that this write makes of ``current`` at ``revision``, or None where it takes that only.

        Raises:
            ApiError: It may not be made.
        """


class Create(Write):
    """Store a new object. Always durable: only updates of an object can be volatile."""

    __slots__ = ("tail", "uid")

    def __init__(self, key: ObjectKey, waiter: Waiter, tail: bytes, uid: Uid) -> None:
        super().__init__(key, waiter, size_bytes=len(tail))
        self.tail = tail
        self.uid = uid

    def judge(self, current: Record | None, revision: Revision) -> Change:
        """Return the addition.

        Raises:
            AlreadyExists: The key is taken.
        """
        if current is not None:
            raise AlreadyExists(f'{self.key.resource} "{self.key.name}" already exists')
        return Change(ChangeType.ADDED, Record(self.key, self.uid, revision, revision, self.tail))


@dataclass(frozen=True, slots=True)
class Precondition:
    """What the stored object must be; None for any.

    Attributes:
        revision: Its revision.
        uid: Its uid.
    """

    revision: Revision | None = None
    uid: Uid | None = None


class _Guarded(Write):
    __slots__ = ("precondition",)

    def __init__(
        self, key: ObjectKey, waiter: Waiter, precondition: Precondition, *, volatile: bool, size_bytes: int
    ) -> None:
        super().__init__(key, waiter, volatile=volatile, size_bytes=size_bytes)
        self.precondition = precondition

    def check(self, current: Record | None) -> Record:
        key = self.key
        if current is None:
            raise NotFound(f'{key.resource} "{key.name}" not found')
        wanted = self.precondition
        if wanted.uid is not None and current.uid != wanted.uid:
            raise Conflict(
                f'Operation cannot be fulfilled on {key.resource} "{key.name}": Precondition failed: '
                f"UID in precondition: {wanted.uid}, UID in object meta: {current.uid}"
            )
        if wanted.revision is not None and current.revision != wanted.revision:
            raise Conflict(
                f'Operation cannot be fulfilled on {key.resource} "{key.name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
        return current


class Update(_Guarded):
    """Replace an object's state."""

    __slots__ = ("status_only", "tail")

    def __init__(
        self,
        key: ObjectKey,
        waiter: Waiter,
        precondition: Precondition,
        tail: bytes,
        *,
        status_only: bool = False,
        volatile: bool = False,
    ) -> None:
        super().__init__(key, waiter, precondition, volatile=volatile, size_bytes=len(tail))
        self.tail = tail
        self.status_only = status_only

    def judge(self, current: Record | None, revision: Revision) -> Change:
        """Return the modification.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
        """
        current = self.check(current)
        content = current.content_revision if self.status_only else revision
        return Change(ChangeType.MODIFIED, Record(self.key, current.uid, revision, content, self.tail), current)


class Delete(_Guarded):
    """Remove an object."""

    __slots__ = ()

    def __init__(self, key: ObjectKey, waiter: Waiter, precondition: Precondition) -> None:
        super().__init__(key, waiter, precondition, volatile=False, size_bytes=0)

    def judge(self, current: Record | None, revision: Revision) -> Change:
        """Return the deletion, which carries the last state.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
        """
        current = self.check(current)
        return Change(ChangeType.DELETED, Record(self.key, current.uid, revision, revision, current.tail), current)


class Reserve(Write):
    """Take a revision for something that is no object; its waiter gets a record with that revision and no key."""

    __slots__ = ()

    def __init__(self, waiter: Waiter) -> None:
        super().__init__(ObjectKey("", "", ""), waiter, volatile=True)

    def judge(self, current: Record | None, revision: Revision) -> Change | None:
        """Return None: nothing changes."""
        return None
