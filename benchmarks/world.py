"""A cloud's data folder with a fleet in it: nodes with real certificates, pods bound to them, ConfigMaps they name.

Made before the daemon starts, through the API's own verbs on the daemon's own store.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.security.ca import CertificateAuthority
from cloudcore.sockets import DATABASE
from cloudcore.store.sqlite import SqliteStore
from protocol.objects.keys import Body
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, NODE_USER_PREFIX, NODES_GROUP, RUNTIMES

DISTINCT = 2_000
"""ConfigMaps that the first node's second pod names: what one node can take of distinct objects."""
SETTINGS_EACH = 10
MESH_NODES = 40
"""Nodes with a pod in the namespace ``mesh``, whose Services they all hold."""
SHARED = "shared"
"""The ConfigMap that a pod on every node names."""


def node_name(number: int) -> str:
    """Return the name of a node."""
    return f"edge-{number:05d}"


def settings_name(number: int, which: int = 0) -> str:
    """Return the name of one of the :data:`SETTINGS_EACH` ConfigMaps that only node ``number`` holds."""
    return f"settings-{number:05d}-{which}"


def _settings_text(size_bytes: int) -> str:
    """Return lines as configuration files have them: they compress as those do."""
    rng = random.Random(1)
    words = "log level timeout retries endpoint host port enabled path cache interval broker topic sensor limit".split()
    lines = (
        f"{rng.choice(words)}.{rng.choice(words)}={rng.choice(words)}{rng.randrange(10_000)}\n" for _ in range(999)
    )
    return "".join(lines)[:size_bytes]


_TEXT = _settings_text(4096)


def config_map(name: str, sent_ns: int, *, size_bytes: int = 256, namespace: str = "default") -> Body:
    """Return a ConfigMap with ``size_bytes`` of data that says when it was sent."""
    stamp = str(sent_ns)
    at = zlib.crc32(name.encode()) % (len(_TEXT) - size_bytes)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"sent": stamp, "value": _TEXT[at : at + size_bytes - len(stamp) - len("sentvalue")]},
    }


def pod(name: str, node: str, config_maps: list[str], namespace: str = "default") -> Body:
    """Return a pod bound to ``node`` that names ``config_maps``."""
    sources = [{"configMapRef": {"name": each, "optional": True}} for each in config_maps]
    container = {"name": "app", "image": "app", "command": ["app"], "envFrom": sources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node, "containers": [container]},
    }


def certificate_path(folder: Path, number: int) -> Path:
    """Return where the certificate and key of a node are."""
    return folder / "nodes" / f"{node_name(number)}.pem"


def client_tls(folder: Path, number: int) -> ssl.SSLContext:
    """Return the TLS context of a node."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "pki" / "ca.crt")
    context.load_cert_chain(certificate_path(folder, number))
    return context


async def make_world(folder: Path, nodes: int, *, own_objects: int = 0, plain: bool = False) -> None:
    """Make the data folder.

    Args:
        folder: The data folder; made if it is not there.
        nodes: How many nodes.
        own_objects: ConfigMaps that exist from the start, so many for each node alone.
        plain: Leave out what only some nodes hold and what only some benchmarks write.
    """
    (folder / "nodes").mkdir(parents=True, exist_ok=True)
    authority = CertificateAuthority.load_or_create(folder / "pki", time.time())
    store = await SqliteStore.open(folder / DATABASE)
    registry = Registry(store)
    await bootstrap(registry)
    client = LocalClient(registry)

    async def add(number: int) -> None:
        name = node_name(number)
        await client.create("nodes", _node(authority, folder, number))
        own = [f"own-{number:05d}-{each}" for each in range(own_objects)]
        for each in own:
            await client.create("configmaps", config_map(each, time.monotonic_ns()))
        settings = [settings_name(number, which) for which in range(SETTINGS_EACH)]
        await client.create("pods", pod(f"app-{name}", name, own if plain else [*settings, SHARED]))

    await _side_by_side(nodes, add)
    if not plain:
        for name in ("mesh", "distinct"):
            await client.create("namespaces", {"metadata": {"name": name}})
        for number in range(min(nodes, MESH_NODES)):
            await client.create("pods", pod(f"mesh-{number}", node_name(number), [], "mesh"))
        distinct = [f"distinct-{each:05d}" for each in range(DISTINCT)]
        await client.create("pods", pod("distinct", node_name(0), distinct, "distinct"))
    await store.close()


def _node(authority: CertificateAuthority, folder: Path, number: int) -> Body:
    name = node_name(number)
    credential = authority.issue_client(NODE_USER_PREFIX + name, NODES_GROUP, time.time())
    path = certificate_path(folder, number)
    path.write_bytes(credential.certificate_pem + credential.key_pem)
    der = ssl.PEM_cert_to_DER_cert(credential.certificate_pem.decode("ascii"))
    annotations = {INSTANCE_ID: name, CERTIFICATE: hashlib.sha256(der).hexdigest(), RUNTIMES: "process"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    return {"metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": {}}


async def _side_by_side(count: int, make: Callable[[int], Awaitable[None]], lanes: int = 64) -> None:
    async def lane(first: int) -> None:
        for number in range(first, count, lanes):
            await make(number)

    async with asyncio.TaskGroup() as group:
        for first in range(lanes):
            group.create_task(lane(first), name=f"lane-{first}")
