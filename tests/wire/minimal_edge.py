"""The smallest edge there can be, written from ``docs/protocol.md`` alone.

It joins over HTTPS, connects, sends its inventory, holds what it is sent, says that pods run which it does not run,
and sends heartbeats. It shares no code with ``protocol/`` or ``edgecore/``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect

from tests.wire import reader
from tests.wire.reader import Json

SUBPROTOCOL: Final = "aiokubeedge.v1"
WINDOW: Final = (1024, 1 << 20)
NO_CODEC: Final = 1
"""Bit 0: this edge reads uncompressed payloads only, and so is sent no others."""

Key = tuple[str, str, str]


@dataclass
class MinimalEdge:
    """What an edge keeps. A real one keeps all of it on disk.

    Attributes:
        node: Its name.
        folder: Where its key and certificates are.
        instance: Minted once.
        incarnation: Of the store that the held versions belong to.
        epoch: The newest there has been.
        held: What it holds: uid, version and body by key.
        answered: Commands that were answered.
        resumed: How its sessions began.
        seen: Every frame that came, by its type.
    """

    node: str
    folder: Path
    instance: str = field(default_factory=lambda: str(uuid.uuid4()))
    incarnation: str = ""
    epoch: int = 0
    held: dict[Key, tuple[str, int, bytes]] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    seen: list[Json] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    _outbox: list[tuple[Any, ...]] = field(default_factory=list)
    _sequence: int = 0
    _reported: int = 0

    # Joining

    def join(self, server: str, token: str) -> None:
        """Become a node."""
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"{server}/ca.crt", context=unverified) as answer:  # https, as it is given
            authority = answer.read().decode()
        if hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority)).hexdigest() != token.partition(".")[0]:
            raise ValueError("another cloud answers there")
        key = ec.generate_private_key(ec.SECP256R1())
        body = {
            "token": token,
            "csr": self._csr(key),
            "instanceId": self.instance,
            "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            "runtimes": ["process"],
        }
        request = urllib.request.Request(
            f"{server}/enrol", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=authority)) as answer:
            joined = json.load(answer)
        self.urls = joined["hub"]["websocket"]
        no_password = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (self.folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, no_password))
        (self.folder / "node.pem").write_text(joined["certificate"])
        (self.folder / "ca.pem").write_text(joined["ca"])

    def _csr(self, key: ec.EllipticCurvePrivateKey) -> str:
        name = [
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{self.node}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        ]
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name)).sign(key, hashes.SHA256())
        return csr.public_bytes(serialization.Encoding.PEM).decode()

    def tls(self) -> ssl.SSLContext:
        """Return the context for the hub."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.folder / "node.pem", self.folder / "key.pem")
        return context

    # A session

    def holding(self) -> list[Json]:
        """Return what is held, as digest and inventory name it."""
        names = ("resource", "namespace", "name")
        return [
            {**dict(zip(names, key, strict=True)), "uid": uid, "version": version}
            for key, (uid, version, _) in self.held.items()
        ]

    async def session(self, leave: asyncio.Event) -> None:
        """Hold one session until ``leave`` is set."""
        self._sequence = 0
        async with connect(
            self.urls[0],
            ssl=self.tls(),
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a Subprotocol is a str
            compression=None,
            ping_interval=None,
            max_size=reader.LIMIT_BYTES,
        ) as socket:
            digest = reader.digest(self.incarnation, self.holding())
            hello = [1, self.node, self.instance, self.incarnation, self.epoch, digest, len(self.held), "minimal"]
            await socket.send(reader.write("HELLO", 0, [*hello, *WINDOW, NO_CODEC]))
            welcome = await self._next(socket)
            self.epoch, self.incarnation = welcome["new_epoch"], welcome["incarnation"]
            self.resumed.append(welcome["resume"])
            if welcome["resume"] == "inventory":
                await self._send_inventory(socket)
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat(socket, welcome["heartbeat_s"]))
                reading = tasks.create_task(self._read(socket))
                self.report(("nodes/status", "", self.node), "", {"status": node_status(self.node)})
                await self._flush(socket)
                await leave.wait()
                reading.cancel()
                beating.cancel()
            await socket.send(reader.write("ERROR", self.epoch, [1001, "leaving", 0]))

    async def _next(self, socket: ClientConnection) -> Json:
        data = await socket.recv(decode=False)
        frame = reader.read(data)
        self.seen.append(frame)
        if frame["type"] == "ERROR":
            raise ConnectionError(f"{frame['code']}: {frame['reason']}")
        return frame

    async def _send_inventory(self, socket: ClientConnection) -> None:
        self._sequence += 1
        columns = zip(*(row.values() for row in self.holding()), strict=True) if self.held else [()] * 5
        await socket.send(reader.write("INVENTORY", self.epoch, [self._sequence, 0, 1, *map(list, columns)]))

    async def _beat(self, socket: ClientConnection, every_s: float) -> None:
        number = 0
        while True:
            number = number % 127 + 1
            load = {0: 100, 1: 500, 2: 300, 5: sum(key[0] == "pods" for key in self.held)}
            await socket.send(reader.write("VOLATILE", self.epoch, [number, msgpack.packb(load)]))
            await asyncio.sleep(every_s)

    async def _read(self, socket: ClientConnection) -> None:
        received = 0
        while True:
            frame = await self._next(socket)
            if frame["epoch"] != self.epoch & 0xFFFFFFFF:
                raise ConnectionError("a frame of another session")
            if frame["type"] in {"PING", "VOLATILE"}:
                ping = frame.get("id") or frame.get("ping")
                await socket.send(reader.write("PONG", self.epoch, [ping]))
            elif frame["type"] == "BATCH" and frame["sequence"] == received + 1:
                received += 1
                rows = list(self._apply(received, frame["items"]))
                # A real edge commits to its disk here, and acknowledges after that.
                await socket.send(reader.write("ACK", self.epoch, [received, received, rows]))
                await self._flush(socket)

    def _apply(self, sequence: int, items: list[Json]) -> Iterator[list[Any]]:
        """Do what each item says, and yield those that cannot be done."""
        for index, item in enumerate(items):
            key = (item["resource"], item["namespace"], item["name"])
            if item["op"] == "delete":
                if key in self.held and self.held[key][0] == item["uid"]:
                    del self.held[key]
            elif item["op"] == "put":
                body = bytes.fromhex(item["body"])
                self.held[key] = (item["uid"], item["version"], body)
                if key[0] == "pods":
                    self._pod(key, item["uid"], msgpack.unpackb(body))
            elif item["id"] not in self.answered:
                self.answered.append(item["id"])
                if key[0] != "resume":
                    yield [sequence, index, 1, "UnknownCommand", f"no command {key[0]}"]

    def _pod(self, key: Key, uid: str, pod: Json) -> None:
        """Say that a pod runs; or, if it is to go, that it has stopped."""
        if "deletionTimestamp" in pod["metadata"]:
            self._reported += 1
            self._outbox.append((1, "pods", key[1], key[2], uid, self._reported, b"", ""))
        else:
            self.report(("pods/status", *key[1:]), uid, {"status": pod_status(pod)})

    def report(self, key: Key, uid: str, body: Json) -> None:
        """Owe a report to the cloud."""
        self._reported += 1
        self._outbox.append((0, *key, uid, self._reported, msgpack.packb(body), ""))

    def event(self, key: Key, uid: str, reason: str) -> None:
        """Owe an event about a pod to the cloud."""
        self._reported += 1
        name = f"{key[2]}.{uuid.uuid4().hex[:10]}"
        body = {
            "metadata": {"name": name, "namespace": key[1]},
            "involvedObject": {"kind": "Pod", "namespace": key[1], "name": key[2], "uid": uid},
            "reason": reason,
            "type": "Normal",
            "message": "said by the minimal edge",
            "source": {"component": "minimal"},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        self._outbox.append((2, "events", key[1], name, "", self._reported, msgpack.packb(body), name))

    async def _flush(self, socket: ClientConnection) -> None:
        """Send what is owed; this edge does not look at acks, for its reports are few."""
        if self._outbox:
            self._sequence += 1
            ops, *columns = zip(*self._outbox, strict=True)
            self._outbox.clear()
            fields = [self._sequence, 0, bytes(ops), *map(list, columns)]
            await socket.send(reader.write("BATCH", self.epoch, fields))


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def node_status(node: str) -> Json:
    """Return the status of a node that is ready."""
    room = {"cpu": "2", "memory": "2Gi", "pods": "10"}
    ready = {"type": "Ready", "status": "True", "reason": "AgentReady", "message": "up"}
    return {
        "capacity": room,
        "allocatable": room,
        "conditions": [{**ready, "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
        "addresses": [{"type": "Hostname", "address": node}],
        "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": "v0-minimal"},
    }


def pod_status(pod: Json) -> Json:
    """Return the status of a pod that runs."""
    names = [container["name"] for container in pod["spec"]["containers"]]
    running = {"image": "", "imageID": "", "ready": True, "started": True, "restartCount": 0}
    return {
        "phase": "Running",
        "startTime": now(),
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now()}],
        "containerStatuses": [{"name": name, **running, "state": {"running": {"startedAt": now()}}} for name in names],
    }
