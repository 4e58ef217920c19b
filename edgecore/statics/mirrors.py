"""Which mirrors the cloud should have of this node's static pods, and what to ask for so that it does. No I/O.

Level-based: what is held of the node's slice says which mirrors there are, the static pods say which there should be.
Asking is free of harm when repeated, so nothing of it is written down: a command whose answer was lost, or whose mirror
somebody has deleted again, is followed by another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edgecore.meta.base import Held
from protocol.messages import Outcome
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.mirrors import mirrored_uid
from protocol.objects.resources import PODS
from protocol.objects.wellknown import MIRROR

ASK_AGAIN_S: Final = 30.0
"""A mirror that was asked for and has not come is asked for again after so long."""
REFUSED_S: Final = 300.0
"""And after so long where the cloud has refused it: a namespace that is not there may have been made."""


@dataclass(frozen=True, slots=True)
class Create:
    """Ask for this mirror, in place of what else may have its name."""

    key: ObjectKey
    mirror: Body


@dataclass(frozen=True, slots=True)
class Remove:
    """Ask that this mirror be removed."""

    key: ObjectKey
    uid: Uid


Action = Create | Remove


class Mirrors:
    """Decides what to ask for. Times are seconds on the caller's monotonic clock."""

    def __init__(self) -> None:
        self._ask_at: dict[Uid, float] = {}

    def plan(
        self, pods: Iterable[Body], held: Iterable[Held], lives: Callable[[Uid], bool], now: float
    ) -> list[Action]:
        """Return what to ask for now.

        Args:
            pods: The static pods.
            held: The mirrors that the cloud has.
            lives: Tells whether anything is left of the static pod with this uid.
            now: The time.
        """
        there = list(held)
        mirrors = {each.key: each for each in there}
        actions: list[Action] = []
        wanted: set[Uid] = set()
        for pod in pods:
            key, uid = _key(pod), Uid(pod["metadata"]["uid"])
            wanted.add(uid)
            mirror = mirrors.pop(key, None)
            if mirror is not None and "deletionTimestamp" in mirror.body["metadata"]:
                actions += self._remove(mirror, now)
                self._ask_at.pop(uid, None)
            elif mirror is not None and mirrored_uid(mirror.body) == uid:
                self._ask_at.pop(uid, None)
            elif now >= self._ask_at.get(uid, now):
                self._ask_at[uid] = now + ASK_AGAIN_S
                actions.append(Create(key, mirror_of(pod)))
        for mirror in mirrors.values():
            if not lives(mirrored_uid(mirror.body)):
                actions += self._remove(mirror, now)
        known = wanted | {each.uid for each in there}
        self._ask_at = {uid: at for uid, at in self._ask_at.items() if uid in known}
        return actions

    def _remove(self, mirror: Held, now: float) -> list[Action]:
        if now < self._ask_at.get(mirror.uid, now):
            return []
        self._ask_at[mirror.uid] = now + ASK_AGAIN_S
        return [Remove(mirror.key, mirror.uid)]

    def answered(self, uid: Uid, outcome: Outcome, now: float) -> None:
        """Take the cloud's answer to :class:`Create`."""
        if uid in self._ask_at:
            self._ask_at[uid] = now + (REFUSED_S if outcome is Outcome.REJECTED else ASK_AGAIN_S)

    def next_timer(self) -> float | None:
        """Return when :meth:`plan` has something to ask for again, or None."""
        return min(self._ask_at.values(), default=None)


def mirror_of(pod: Body) -> Body:
    """Return what shows ``pod`` in the cloud."""
    metadata = pod["metadata"]
    annotations = {**metadata["annotations"], MIRROR: metadata["uid"]}
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if name in metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**kept, "annotations": annotations}, "spec": pod["spec"]}


def _key(pod: Body) -> ObjectKey:
    return ObjectKey(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
