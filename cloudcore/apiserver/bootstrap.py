"""What exists from the first run: namespaces, the agents' RuntimeClasses, the system PriorityClasses."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import AlreadyExists, NotFound
from protocol.objects.keys import Body
from protocol.objects.resources import DEFINITIONS, NAMESPACES, PRIORITY_CLASSES, RUNTIME_CLASSES, SERVICE_ACCOUNTS
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE

_NAMESPACES: Final = ("default", "kube-system", "kube-public", NODE_LEASE_NAMESPACE)
_RUNTIMES: Final = ("process", "docker")
_SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


async def bootstrap(registry: Registry) -> None:
    """Create what is missing. Idempotent: called at each start, it leaves alone what is there."""
    client = LocalClient(registry, "system:bootstrap")
    await _serve_definitions(registry)
    for name in _NAMESPACES:
        await _ensure(client, NAMESPACES, {"metadata": {"name": name}})
    for name in _NAMESPACES:
        await _ensure(client, SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
    for name in _RUNTIMES:
        await _ensure(client, RUNTIME_CLASSES, {"metadata": {"name": name}, "handler": name})
    for name, value in _SYSTEM_PRIORITIES.items():
        body = {
            "metadata": {"name": name},
            "value": value,
            "description": f"Used for {name.removeprefix('system-').replace('-', ' ')} pods of the system.",
        }
        await _ensure(client, PRIORITY_CLASSES, body)


async def _serve_definitions(registry: Registry) -> None:
    """Serve the custom kinds that were defined before the restart."""
    kind = registry.kinds.of(DEFINITIONS)
    for record in (await registry.store.list(DEFINITIONS)).records:
        kind.committed(record, removed=False)


async def _ensure(client: LocalClient, resource: str, body: Body) -> None:
    metadata = body["metadata"]
    try:
        await client.get(resource, metadata.get("namespace", ""), metadata["name"])
    except NotFound:
        try:
            await client.create(resource, body)
        except AlreadyExists:
            return
