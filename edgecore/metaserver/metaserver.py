"""The device's Kubernetes API, put together: what it shows, what changes, where writes go, and who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol
from uuid import uuid4

from edgecore.meta.base import Desired, Reports, Subscriber
from edgecore.metaserver.api import Api, Clocks, Rights
from edgecore.metaserver.changes import Changes
from edgecore.metaserver.objects import Objects
from edgecore.metaserver.passage import Cloud, Passage
from edgecore.metaserver.server import HttpServer, serving
from edgecore.metaserver.writefolder import WriteFolder
from edgecore.metaserver.writes import Refused
from protocol.errors import UsageError
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.times import timestamp

DEFAULT_PORT: Final = 10550
_BACKLOG: Final = 64


class Shown(Desired, Protocol):
    """What the device should run, and tells of it (:class:`edgecore.statics.wanted.WantedPods`, the meta store)."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` of each change."""


class Statuses(Reports, Protocol):
    """What the device has reported (:class:`edgecore.meta.store.MetaStore`)."""

    life: int

    def status_of(self, key: ObjectKey, uid: Uid) -> Body:
        """Return the newest status."""

    def on_status(self, listener: Any) -> None:
        """Tell ``listener`` of new statuses."""

    async def save(self) -> None:
        """Write what waits."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a metaserver is made of.

    Attributes:
        sockets: Where it listens; owned by it.
        tls: How it proves who it is; None for plain HTTP.
        folder: Where writes wait for the cloud.
        version: This project's version.
        rng: Source of jitter.
    """

    sockets: Sequence[socket.socket]
    tls: ssl.SSLContext | None
    folder: Path
    version: str
    rng: Random


class Metaserver:
    """The device's Kubernetes API.

    Args:
        setup: What it is made of.
        desired: What the device should run.
        reports: What it has reported, and where Events go.
        cloud: Asks the cloud.
        rights: Decides on each request.
    """

    def __init__(self, setup: Setup, desired: Shown, reports: Statuses, cloud: Cloud, rights: Rights) -> None:
        self._setup = setup
        self._reports = reports
        self._tasks: asyncio.TaskGroup | None = None
        clock = asyncio.get_running_loop().time
        self.passage = Passage(
            cloud,
            WriteFolder(setup.folder),
            wall=time.time,
            version_of=lambda key: getattr(desired.get(key), "version", 0),
            changed=lambda _: None,
            refused=self._tell_refused,
            rng=setup.rng,
        )
        objects = Objects(desired, reports.status_of, self.passage.upon, self.passage.written)
        self._changes = Changes(objects, reports.life << 32, clock)
        self.passage.changed = self._changes.look
        desired.subscribe(self._changes)
        reports.on_status(self._changes.look)
        api = Api(
            objects,
            self._changes,
            self.passage,
            rights,
            clocks=Clocks(clock, time.time, setup.rng),
            version=setup.version,
        )
        self._server = HttpServer(api.answer)

    @property
    def address(self) -> str:
        """The URL of the first socket."""
        host, port = self._setup.sockets[0].getsockname()[:2]
        return f"{'http' if self._setup.tls is None else 'https'}://{host}:{port}"

    def live(self) -> dict[str, Any]:
        """Return how it does at this moment, for ``edgecore status``."""
        queue = self.passage.queue
        return {
            "address": self.address,
            **self._server.figures,
            "writesWaiting": len(queue),
            "writesRefused": len(queue.refused),
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the block runs."""
        await self._reports.save()  # so that the revisions of this life are never given out again
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            sending = tasks.create_task(self.passage.run(), name="metaserver-writes")
            try:
                async with serving(list(self._setup.sockets), self._server, self._setup.tls):
                    yield
            finally:
                self._changes.close()
                self._tasks = None
                sending.cancel()

    def _tell_refused(self, refused: Refused) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._reports.event(refusal_event(refused)), name="metaserver-event")


def refusal_event(refused: Refused) -> Body:
    """Return the Event, about the pod that wrote, that tells of a refused write."""
    write, at = refused.write, timestamp(refused.at)
    about = {"kind": "Pod", "apiVersion": "v1", "namespace": write.author.namespace, "name": write.author.pod}
    what = f"{write.verb} {write.key}{'/' if write.subresource else ''}{write.subresource}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"write-refused.{uuid4().hex[:16]}", "namespace": write.author.namespace},
        "involvedObject": {**about, "uid": write.author.uid},
        "type": "Warning",
        "reason": "QueuedWriteRefused",
        "message": f"{what}: {refused.reason}: {refused.message}"[:1024],
        "source": {"component": "metaserver"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def listening(host: str, port: int | None) -> socket.socket:
    """Return a listening socket.

    Args:
        host: The address.
        port: The TCP port, which must be had; None takes :data:`DEFAULT_PORT`, or a free one where that is taken.

    Raises:
        UsageError: It cannot be had.
    """
    if port is None:
        with contextlib.suppress(OSError):
            return _bound(host, DEFAULT_PORT)
    try:
        return _bound(host, port or 0)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port or 0}: {error.strerror or error}") from error


def listening_too(host: str, port: int) -> socket.socket | None:
    """Return a socket that listens at one more address, or None where that cannot be had: pods there do without."""
    with contextlib.suppress(OSError):
        return _bound(host, port)
    return None


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    sock.setblocking(False)
    return sock
