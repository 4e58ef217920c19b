"""What this node should run, from both sides: the pods of its files and those that the cloud has bound to it.

Mirrors of static pods come down with everything else of the node's slice. They are left out here, so that nobody runs
them: the pod behind a mirror is the static one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from edgecore.meta.base import Applied, Desired, Held, Subscriber
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.mirrors import is_mirror
from protocol.objects.resources import PODS


class WantedPods:
    """A :class:`~edgecore.meta.base.Desired` over the meta store's. A :class:`~edgecore.meta.base.Subscriber` of it.

    Args:
        stored: What the cloud has sent.
        standalone: Whether there is no cloud, so that nothing else can be wanted than what is held.

    Attributes:
        on_mirrors: Called with the mirrors that have come, changed or gone (the new state, or None).
    """

    def __init__(self, stored: Desired, *, standalone: bool = False) -> None:
        self._stored = stored
        self._standalone = standalone
        self._static: dict[ObjectKey, Held] = {}
        self._subscribers: list[Subscriber] = []
        self.on_mirrors: Callable[[Sequence[tuple[ObjectKey, Held | None]]], None] = lambda _: None

    @property
    def complete(self) -> bool:
        """Whether all that is wanted is known."""
        return self._standalone or self._stored.complete

    def get(self, key: ObjectKey) -> Held | None:
        """Return the object, or None where this node does not hold it (yet)."""
        if key.resource != PODS:
            return self._stored.get(key)
        return self._static.get(key) or _run(self._stored.get(key))

    def static_pods(self) -> Sequence[Body]:
        """Return the static pods."""
        return [held.body for held in self._static.values()]

    def list(self, resource: str) -> Sequence[Held]:
        """Return all held objects of ``resource``; of pods, those that are to run here."""
        stored = self._stored.list(resource)
        if resource != PODS:
            return stored
        return [*self._static.values(), *(held for held in stored if not is_mirror(held.body))]

    def mirrors(self) -> Iterator[Held]:
        """Yield the mirrors that the cloud holds of this node's static pods, as far as is known."""
        return (held for held in self._stored.list(PODS) if is_mirror(held.body))

    def static_uid(self, key: ObjectKey) -> Uid | None:
        """Return the uid of the static pod of this name; None where there is none."""
        held = self._static.get(key)
        return None if held is None else held.uid

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` of every change from now on."""
        self._subscribers.append(subscriber)

    def replace(self, pods: Iterable[Body]) -> None:
        """Take ``pods`` for the static pods, and tell of the difference."""
        before, self._static = self._static, {held.key: held for held in map(_held, pods)}
        changes = [
            Applied(key, self._static.get(key), before.get(key))
            for key in dict.fromkeys([*before, *self._static])
            if _uid(before.get(key)) != _uid(self._static.get(key))
        ]
        if changes:
            self._tell(changes)

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of committed changes of what the cloud wants."""
        mirrors = []
        others = []
        for change in changes:
            if change.key.resource != PODS:
                others.append(change)
                continue
            held, previous = _run(change.held), _run(change.previous)
            if held is not change.held or previous is not change.previous:
                mirrors.append((change.key, change.held if held is None else None))
            if held is not None or previous is not None:
                others.append(Applied(change.key, held, previous))
        if others:
            self._tell(others)
        if mirrors:
            self.on_mirrors(mirrors)

    def completed(self) -> None:
        """Take note that the store now holds all that is wanted."""
        for subscriber in self._subscribers:
            subscriber.completed()

    def _tell(self, changes: Sequence[Applied]) -> None:
        for subscriber in self._subscribers:
            subscriber.applied(changes)


def _held(pod: Body) -> Held:
    metadata = pod["metadata"]
    key = ObjectKey(PODS, metadata["namespace"], metadata["name"])
    return Held(key, Uid(metadata["uid"]), Revision(0), pod)


def _run(held: Held | None) -> Held | None:
    """Return ``held`` where it is a pod to run; None for a mirror."""
    return None if held is None or is_mirror(held.body) else held


def _uid(held: Held | None) -> Uid | None:
    return None if held is None else held.uid
