"""Someone who drives the API, and remembers what was acknowledged.

Each write is numbered, and the number is written into the object. What is acknowledged must hold until a later write
of the same object supersedes it; a write that failed because the cloud went away may have happened or not. Writes of
one user follow each other, so that is all there is to know.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from cloudcore.client import Client, Patch
from cloudcore.errors import AlreadyExists, ApiError, Conflict, NotFound, StorageUnavailable
from protocol.objects.keys import Body, ObjectKey

NUMBER = "simulation/write"
"""Annotation: the number of the write that the object stems from."""
APP = "simulation/app"
AGAIN_S = 0.2
MOST_TRIES = 1000
REFUSALS = (AlreadyExists, Conflict, NotFound)

CONFIG_MAPS, SECRETS, PODS, SERVICES = "configmaps", "secrets", "pods", "services"
DEPLOYMENTS = "deployments.apps"


class State(NamedTuple):
    """What an object may be: its uid (None where unknown) and the number of its newest write."""

    uid: str | None
    number: int


@dataclass(slots=True)
class Memory:
    """What a user knows of one object.

    Attributes:
        allowed: Every state it may be in; None is absence.
        replicas: Of a deployment: what they may be after each write.
    """

    allowed: list[State | None] = field(default_factory=lambda: [None])
    replicas: dict[int, set[int]] = field(default_factory=dict)

    def may_be(self, state: State | None) -> bool:
        """Tell whether ``state`` is one of those the object may be in."""
        if state is None:
            return None in self.allowed
        return any(
            one is not None and one.number == state.number and one.uid in (None, state.uid) for one in self.allowed
        )


class User:
    """Writes objects of one namespace through whatever client there is at the moment.

    Args:
        client: Returns the client of the cloud's present life.
        namespace: Where to write; no one else does.
        rng: Chooses.

    Attributes:
        offences: What was read and cannot be, in words.
    """

    def __init__(self, client: Callable[[], Client], namespace: str, rng: Random) -> None:
        self.namespace = namespace
        self.memories: dict[ObjectKey, Memory] = {}
        self.offences: list[str] = []
        self._client = client
        self._rng = rng
        self._writes = 0

    def key(self, resource: str, name: str) -> ObjectKey:
        """Return the key of an object of this user's namespace."""
        return ObjectKey(resource, self.namespace, name)

    def memory(self, key: ObjectKey) -> Memory:
        """Return what is known of ``key``."""
        return self.memories.setdefault(key, Memory())

    # Writes. Each returns whether it was acknowledged.

    async def create(self, key: ObjectKey, body: Body) -> bool:
        """Create an object, or find that it is there."""
        number = self._number(body["metadata"].setdefault("annotations", {}))
        _fill(key.resource, body, number)
        body["metadata"].update(name=key.name, namespace=key.namespace)
        self.memory(key).replicas[number] = {body.get("spec", {}).get("replicas", 0)}
        return await self._attempt(key, lambda: self._client().create(key.resource, body), State(None, number))

    async def update(self, key: ObjectKey, patch: Body) -> bool:
        """Change an object."""
        number = self._number(patch.setdefault("metadata", {}).setdefault("annotations", {}))
        memory = self.memory(key)
        if key.resource in (CONFIG_MAPS, SECRETS):
            _fill(key.resource, patch, number)
        before = {n for one in memory.allowed if one is not None for n in memory.replicas[one.number]}
        scaled = patch.get("spec", {}).get("replicas")
        memory.replicas[number] = before if scaled is None else {scaled}
        what: Patch = patch
        uids = {one.uid for one in memory.allowed if one is not None}
        uid = uids.pop() if len(uids) == 1 else None

        async def write() -> Body:
            return await self._client().patch(key.resource, key.namespace, key.name, what, kind="strategic")

        return await self._attempt(key, write, State(uid, number))

    async def delete(self, key: ObjectKey, *, grace_s: int | None = None) -> bool:
        """Delete an object."""

        async def write() -> None:
            await self._client().delete(key.resource, key.namespace, key.name, grace_s=grace_s)

        return await self._attempt(key, write, None)

    async def replace(self, key: ObjectKey, body: Body, *, grace_s: int | None = None, tries: int = 40) -> bool:
        """Delete an object and make another under its name as soon as that is free."""
        await self.delete(key, grace_s=grace_s)
        for _ in range(tries):
            if None in self.memory(key).allowed and await self.create(key, copy.deepcopy(body)):
                return True
            await asyncio.sleep(1.0)
        return False

    async def insist(self, write: Callable[[], Awaitable[bool]], done: Callable[[], bool] = lambda: False) -> None:
        """Write again and again until it is acknowledged, or ``done`` says that it has happened."""
        while not await write() and not done():  # noqa: ASYNC110 - a request is made in between
            await asyncio.sleep(AGAIN_S)

    async def insist_on(self, key: ObjectKey, body: Body) -> None:
        """Create an object, again and again until it is known to be there."""
        await self.insist(lambda: self.create(key, copy.deepcopy(body)), lambda: None not in self.memory(key).allowed)

    async def insist_on_absence(self, key: ObjectKey, *, grace_s: int | None = None) -> None:
        """Delete an object, again and again until it is known to go."""
        await self.insist(lambda: self.delete(key, grace_s=grace_s), lambda: self.memory(key).allowed == [None])

    async def look(self, key: ObjectKey) -> Body | None:
        """Read an object and hold it against what is known; None where it is not there or cannot be read."""
        try:
            body = await self._client().get(key.resource, key.namespace, key.name)
        except NotFound:
            self._see(key, None)
            return None
        except ApiError:
            return None
        self._see(key, body)
        return body

    def present(self) -> Iterator[tuple[ObjectKey, State]]:
        """Yield the objects that are there for certain."""
        for key, memory in self.memories.items():
            if len(memory.allowed) == 1 and (state := memory.allowed[0]) is not None:
                yield key, state

    # Inside.

    def _number(self, annotations: dict[str, str]) -> int:
        self._writes += 1
        annotations[NUMBER] = str(self._writes)
        return self._writes

    async def _attempt(
        self, key: ObjectKey, write: Callable[[], Awaitable[Body | None]], outcome: State | None
    ) -> bool:
        memory = self.memory(key)
        try:
            written = await write()
        except REFUSALS:
            await self.look(key)
            return False
        except StorageUnavailable:
            memory.allowed.append(outcome)  # it may be on disk all the same
            return False
        except ApiError as exc:
            self.offences.append(f"{key}: {exc.reason}: {exc.message}")
            return False
        if outcome is None:
            memory.allowed = [None]
        else:
            self._see(key, written, outcome)
        return True

    def _see(self, key: ObjectKey, body: Body | None, outcome: State | None = None) -> None:
        """Take note of what an object is; ``outcome`` is what a write should have made of it."""
        memory = self.memory(key)
        if outcome is not None:
            memory.allowed.append(outcome)
        if body is not None and "deletionTimestamp" in body["metadata"]:
            if None not in memory.allowed:
                self.offences.append(f"{key} is going away though nobody deleted it; it may be {memory.allowed}")
            memory.allowed = [None]
            return
        state = None if body is None else state_of(body)
        if not memory.may_be(state):
            self.offences.append(f"{key} is {state}, it may be {memory.allowed}")
        memory.allowed = [state]


def state_of(body: Body) -> State:
    """Return the state that ``body`` shows."""
    metadata = body["metadata"]
    return State(metadata["uid"], int(metadata.get("annotations", {}).get(NUMBER, "0")))


def content_of(number: int) -> str:
    """Return the text that a ConfigMap or Secret of write ``number`` holds: found nowhere else."""
    return f"content-of-write-{number:06}"


def _fill(resource: str, body: Body, number: int) -> None:
    if resource == CONFIG_MAPS:
        body["data"] = {"VALUE": content_of(number)}
    elif resource == SECRETS:
        body["stringData"] = {"PASSWORD": content_of(number)}
    elif resource == DEPLOYMENTS:
        body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "WRITE", "value": str(number)}]


def pod_spec(*, config: str = "", secret: str = "", node: str = "", helper: bool = False) -> Body:
    """Return a pod's spec.

    Args:
        config: A ConfigMap that it needs for its environment.
        secret: A Secret that it needs for a volume.
        node: The only node it may be on.
        helper: Whether it has a second container.
    """
    container: Body = {"name": "main", "image": "sim:1", "command": ["run"]}
    spec: Body = {"containers": [container], "terminationGracePeriodSeconds": 5}
    if config:
        container["envFrom"] = [{"configMapRef": {"name": config}}]
    if secret:
        container["volumeMounts"] = [{"name": "s", "mountPath": "/s"}]
        spec["volumes"] = [{"name": "s", "secret": {"secretName": secret}}]
    if helper:
        spec["containers"].append({"name": "helper", "image": "sim:1", "command": ["run"]})
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return spec


def deployment(replicas: int, spec: Body, name: str) -> Body:
    """Return a Deployment whose pods are labelled with its name."""
    labels = {APP: name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {"metadata": {}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}}
