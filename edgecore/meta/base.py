"""What the agent's parts see of the meta store: the desired state going down, the observed state coming up.

The meta store is the only authority at the edge. It commits before the link acknowledges (``docs/semantics.md``),
and everything on the node boots from it, without the cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body, ObjectKey, Revision, Uid


class StorageUnavailable(AiokubeedgeError):
    """The device's disk does not take writes (full, failing); nothing of the write was stored.

    Args:
        reason: One line for a person.
        uncertain: True where the flush itself failed, so that what lies on disk has to be read again.
    """

    def __init__(self, reason: str, *, uncertain: bool = False) -> None:
        super().__init__(reason)
        self.uncertain = uncertain


@dataclass(frozen=True, slots=True)
class Held:
    """One object of this node's slice, as it lies on disk.

    Attributes:
        key: Which object.
        uid: Its uid; a delete names it and never touches another.
        version: The version of its projection.
        body: The decoded projection. Shared: read it, never change it.
    """

    key: ObjectKey
    uid: Uid
    version: Revision
    body: Body


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that is on disk: ``held`` is the new state, or None when the object has left the node.

    A new uid under the same key arrives as one ``Applied`` with the new ``held`` and the old one in ``previous``.
    """

    key: ObjectKey
    held: Held | None
    previous: Held | None


class Desired(Protocol):
    """Reads of what this node should run. Answers come from memory; they are what is on disk."""

    @property
    def complete(self) -> bool:
        """Whether this database has been in step with the cloud at least once.

        False in a new database and in one rebuilt after corruption, until the first resume ends. While it is
        False, a running pod that is not held may well be wanted: adopt or leave it alone, never stop it as an
        orphan. Once True it stays True, also offline and across restarts.
        """

    def get(self, key: ObjectKey) -> Held | None:
        """Return the object, or None where this node does not hold it (yet)."""

    def list(self, resource: str) -> Sequence[Held]:
        """Return all held objects of ``resource``."""


class Subscriber(Protocol):
    """A part of the agent that acts on desired state."""

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of committed changes; called on the event loop, in commit order, must not block."""

    def completed(self) -> None:
        """Take note that ``Desired.complete`` has become True: what is not held now is not wanted.

        Called once, after the ``applied`` calls of the resume that completed the slice.
        """


class Reports(Protocol):
    """What the agent reports up. Each call returns once the report is on disk; the link sends it when it can.

    Only the newest report per object is kept, so a node that is cut off for a month owes one status per pod.
    While the disk takes no writes, reports are kept in memory and still sent, and written once there is room; the
    calls then return without having waited for the disk and never raise for it.
    """

    async def pod_status(self, namespace: str, name: str, uid: Uid, status: Body) -> None:
        """Report a pod's status (``status`` of the Pod object)."""

    async def pod_finished(self, namespace: str, name: str, uid: Uid) -> None:
        """Report that a pod marked for deletion has stopped fully: the cloud may remove the object."""

    async def node_status(self, status: Body) -> None:
        """Report this node's status (``status`` of the Node object)."""

    async def event(self, body: Body) -> None:
        """Queue a core/v1 Event (its ``metadata.name`` is the de-duplication id); bounded, oldest dropped."""
