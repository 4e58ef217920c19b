"""Pods, stores and reports for tests of the pods machine and its driver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgecore.meta.base import Applied, Held, Subscriber
from protocol.objects.keys import Body, ObjectKey, Revision, Uid, key_of


def a_pod(name: str = "web", uid: str = "u1", **spec: Any) -> Body:
    """Return a pod with one container, ``main``; ``spec`` adds to or replaces fields of its spec."""
    body: Body = {"containers": [{"name": "main", "image": "img:1", "command": ["serve"]}], **spec}
    metadata = {"namespace": "default", "name": name, "uid": uid}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def deleted(pod: Body, grace_s: int = 30) -> Body:
    """Return ``pod`` marked for deletion."""
    marks = {"deletionTimestamp": "2026-11-23T12:00:00Z", "deletionGracePeriodSeconds": grace_s}
    return {**pod, "metadata": {**pod["metadata"], **marks}}


class FakeDesired:
    """A store whose changes are told to a subscriber at once."""

    def __init__(self) -> None:
        self.complete = True
        self.subscriber: Subscriber | None = None
        self._held: dict[ObjectKey, Held] = {}

    def get(self, key: ObjectKey) -> Held | None:
        return self._held.get(key)

    def list(self, resource: str) -> Sequence[Held]:
        return [held for key, held in self._held.items() if key.resource == resource]

    def put(self, resource: str, body: Body) -> None:
        key = key_of(resource, body)
        held = Held(key, Uid(body["metadata"].get("uid", "x")), Revision(1), body)
        self._tell(Applied(key, held, self._held.get(key)))
        self._held[key] = held

    def remove(self, resource: str, name: str, namespace: str = "default") -> None:
        key = ObjectKey(resource, namespace, name)
        self._tell(Applied(key, None, self._held.pop(key)))

    def _tell(self, change: Applied) -> None:
        if change.held is not None:
            self._held[change.key] = change.held
        if self.subscriber is not None:
            self.subscriber.applied([change])


@dataclass
class FakeReports:
    """Keeps what is reported; waits at ``gate`` when that is cleared."""

    statuses: dict[str, Body] = field(default_factory=dict)
    history: list[tuple[str, Body]] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    events: list[Body] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def pod_status(self, namespace: str, name: str, uid: Uid, status: Body) -> None:
        await self.gate.wait()
        self.statuses[uid] = status
        self.history.append((uid, status))

    async def pod_finished(self, namespace: str, name: str, uid: Uid) -> None:
        self.finished.append(uid)

    async def node_status(self, status: Body) -> None:
        raise AssertionError("the pods driver does not report the node")

    async def event(self, body: Body) -> None:
        self.events.append(body)

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.events]
