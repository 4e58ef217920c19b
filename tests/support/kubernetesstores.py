"""A Kubernetes store against our own API server over HTTPS, and what can go wrong in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cloudcore.apiserver.registry import Registry
from cloudcore.store.kubernetes import ApiSession, KubernetesStore, SessionSettings
from cloudcore.store.kubernetes.access import Grant
from cloudcore.store.memory import MemoryStore
from cloudcore.store.settings import StoreSettings
from protocol.backoff import RetryPolicy
from protocol.objects.keys import Body
from tests.contracts.store import LEASES, NODES, PODS, SECRETS
from tests.support.apiservers import RunningServer, serving

AT_ONCE = RetryPolicy(max_retries=3, initial_delay_s=0.001, max_delay_s=0.01)
FOR_EVER = RetryPolicy(max_retries=None, initial_delay_s=0.001, max_delay_s=0.01)
NAMESPACES = ("a", "b", "a-b", "d", "mine", "zzz")
SCOPES = {PODS: "Namespaced", NODES: "Cluster", SECRETS: "Namespaced", LEASES: "Namespaced"}


@dataclass
class FixedAccess:
    """Gives the same grant each time, or what a test puts there; counts."""

    given: Grant
    asked: int = 0

    async def grant(self) -> Grant:
        self.asked += 1
        return self.given


@dataclass
class Server:
    """An API server with the contract's resources, and stores on it."""

    running: RunningServer
    memory: MemoryStore
    stores: list[KubernetesStore] = field(default_factory=list)

    def session(self, url: str = "", **settings: object) -> ApiSession:
        """Return a session with the administrator's rights; at ``url`` there may be a proxy."""
        grant = Grant(url or self.running.url, self.running.tls())
        chosen = SessionSettings(**{"retry": AT_ONCE, "reconnect": FOR_EVER, "timeout_s": 10.0, **settings})  # type: ignore[arg-type]
        return ApiSession(FixedAccess(grant), chosen, rng=Random(1))

    async def store(self, settings: StoreSettings | None = None, *, url: str = "") -> KubernetesStore:
        """Open a store; it is closed with the server at the latest."""
        store = await KubernetesStore.open(self.session(url), settings=settings, rng=Random(1))
        self.stores.append(store)
        return store


def definition(resource: str, scope: str) -> Body:
    """Return the definition of a kind that takes any fields and keeps its status apart."""
    plural, _, group = resource.partition(".")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "metadata": {"name": resource},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": plural.capitalize()},
            "versions": [version],
        },
    }


@asynccontextmanager
async def kubernetes(folder: Path, *, memory: MemoryStore | None = None) -> AsyncIterator[Server]:
    """Run an API server that has what the contract needs."""
    memory = memory or MemoryStore()
    async with serving(folder, registry=Registry(memory)) as running:
        for resource, scope in SCOPES.items():
            await running.client.create("customresourcedefinitions.apiextensions.k8s.io", definition(resource, scope))
        for name in NAMESPACES:
            await running.client.create("namespaces", {"metadata": {"name": name}})
        server = Server(running, memory)
        try:
            yield server
        finally:
            for store in server.stores:
                await store.close()
