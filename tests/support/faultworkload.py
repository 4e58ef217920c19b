"""What people do with the cluster while things break: writes through the real API, remembered with what came of them.

Built on the users of the simulation (:mod:`tests.support.simulatedusers`): a write that was answered must hold, one
whose answer was lost may have happened or not. A restored backup takes the users' memories back with it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from cloudcore.client import Client
from cloudcore.errors import ApiError, StorageUnavailable
from cloudcore.rest import RestClient, ServerUnreachable
from protocol.objects.keys import Body, ObjectKey
from tests.support.simulatedusers import CONFIG_MAPS, PODS, SECRETS, SERVICES, Memory, User, pod_spec

TRANSIENT = ("InternalError", "ServiceUnavailable", "Timeout", "ServerTimeout", "TooManyRequests")
NAMES = 5
PAUSE_S = 0.05


class Tolerant:
    """The API as users of a cloud that comes and goes see it: no answer is an answer whose content is unknown.

    Args:
        client: The client over HTTPS. Its time limit must be beyond any pause of the cloud: a request that was given
            up could still be carried out, after its author has looked and seen nothing.
    """

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self.answered = 0
        self.unanswered: dict[str, int] = {}

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._client, verb)

        async def tolerant(*args: Any, **options: Any) -> Any:
            try:
                answer = await call(*args, **options)
            except ServerUnreachable as error:
                self._count(type(error.__cause__).__name__)
                raise StorageUnavailable(f"{error}: {error.__cause__!r}") from error
            except ApiError as error:
                # aiohttp makes a DELETE again by itself if the connection ends: the first one may have found it.
                if error.reason not in TRANSIENT and not (verb == "delete" and error.reason == "NotFound"):
                    self.answered += 1
                    raise
                self._count(error.reason)
                raise StorageUnavailable(error.message) from error
            self.answered += 1
            return answer

        return tolerant

    def _count(self, cause: str) -> None:
        self.unanswered[cause] = self.unanswered.get(cause, 0) + 1


def witness(node: str, name: str, evidence: Path, **extra: Any) -> Body:
    """Return a pod that runs for ever and notes in ``evidence`` when it starts, and when it should not have.

    It holds a lock that belongs to its node and name for as long as any of its processes lives. Whoever finds the
    lock taken runs beside another.
    """
    mark = f'"$EVENT {node} {name} $POD_UID $$$$"'
    script = (
        f"exec 9>>{evidence}/{node}-{name}.lock\n"
        f"note() {{ EVENT=$1; echo {mark} >> {evidence}/starts; }}\n"
        "trap 'exit 0' TERM\n"
        "flock -n 9 || { note doubled; flock 9; }\n"
        "note started\nsleep 3600 & wait\n"
    )
    spec = pod_spec(config=extra.get("config", ""), secret=extra.get("secret", ""))
    spec["terminationGracePeriodSeconds"] = 1
    spec["volumes"] = [{**v, "secret": {**v["secret"], "optional": True}} for v in spec.get("volumes", ())]
    container = spec["containers"][0]
    container["command"] = ["sh", "-c", script]
    container["image"] = "none"
    container["env"] = [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]
    for source in container.get("envFrom", ()):
        source["configMapRef"]["optional"] = True
    where = {"nodeName": node} if extra.get("bound") else {"nodeSelector": {"kubernetes.io/hostname": node}}
    return {"metadata": {}, "spec": {**spec, **where}}


class Writer:
    """One person: makes one change after the other in a namespace of their own.

    Args:
        client: The API.
        namespace: Where to write.
        nodes: Where pods go.
        evidence: Where pods leave what is judged.
        rng: Chooses.
    """

    def __init__(self, client: Tolerant, namespace: str, nodes: Sequence[str], evidence: Path, rng: Random) -> None:
        self.user = User(lambda: cast(Client, client), namespace, rng)  # which passes each verb on
        self.turn = asyncio.Lock()
        self._nodes = nodes
        self._evidence = evidence
        self._rng = rng

    async def run(self, until: asyncio.Event) -> None:
        """Write until told to stop."""
        while not until.is_set():
            await self.step()
            await asyncio.sleep(self._rng.uniform(0, PAUSE_S))

    async def step(self) -> None:
        """Make one change."""
        async with self.turn:
            await self._change()

    async def settle(self) -> None:
        """Look at every object, so that none is in doubt."""
        for key in tuple(self.user.memories):
            while len(self.user.memory(key).allowed) > 1:
                await self.user.look(key)
                await asyncio.sleep(PAUSE_S)

    def remember(self) -> dict[ObjectKey, Memory]:
        """Return what is known now, as a backup taken now holds it."""
        return copy.deepcopy(self.user.memories)

    def forget(self, backup: dict[ObjectKey, Memory]) -> None:
        """Believe that all is as it was: a backup has been restored."""
        self.user.memories = copy.deepcopy(backup)

    async def _change(self) -> None:
        resource = self._rng.choice((CONFIG_MAPS, SECRETS, SERVICES, PODS, PODS))
        key = self.user.key(resource, f"n{self._rng.randrange(NAMES)}")
        allowed = self.user.memory(key).allowed
        if len(allowed) > 1:
            await self.user.look(key)
        elif allowed == [None]:
            await self.user.create(key, self._body(key))
        else:
            await self._touch(key)

    async def _touch(self, key: ObjectKey) -> None:
        action = self._rng.choice(("update", "update", "update", "delete", "replace"))
        if action == "update":
            await self.user.update(key, {})
        elif action == "delete":
            await self.user.delete(key)
        elif await self.user.delete(key, grace_s=self._rng.choice((0, None)) if key.resource == PODS else None):
            await self.user.create(key, self._body(key))

    def _body(self, key: ObjectKey) -> Body:
        if key.resource == PODS:
            chosen = self._rng.choice(self._nodes)
            bound = self._rng.random() < 0.5
            return witness(
                chosen, f"{key.namespace}-{key.name}", self._evidence, config=key.name, secret=key.name, bound=bound
            )
        if key.resource == SERVICES:
            return {"metadata": {}, "spec": {"selector": {"app": key.name}, "ports": [{"port": 80}]}}
        return {"metadata": {}}
