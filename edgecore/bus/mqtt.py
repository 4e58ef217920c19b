"""The bus's driver: one connection to an MQTT broker, dialled again for ever.

Concurrency contract. ``run`` owns the connection. Messages wait in a queue of :data:`QUEUED` at most, beyond which the
client drops them and logs it: none of these has been answered. They are taken in batches, each one change of the
twins and one flush of the disk; the answers go out in order. What the cloud changes meanwhile is announced through a
queue of its own; while the broker is away nothing is announced, and when it is back every device that is not as it
should be hears so.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
import structlog

from edgecore.bus.desk import Clock, Desk, Message
from edgecore.bus.topics import subscriptions
from edgecore.meta.base import StorageUnavailable
from edgecore.twin.book import Changed
from edgecore.twin.driver import TwinDriver
from protocol.backoff import LOCAL, Backoff
from protocol.errors import UsageError

log = structlog.get_logger("edgecore.bus")

QUEUED: Final = 10_000
"""Messages that wait at most."""

BATCH: Final = 256
"""Messages in one change."""

PUBLISHED_AT_ONCE: Final = 64
"""Answers on their way to the broker at once."""

ANNOUNCED: Final = 1000
"""Groups of the cloud's changes that wait to be announced; the oldest goes: a device can ask how it should be."""

QOS: Final = 1


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is and how to speak to it.

    Attributes:
        host: Its host.
        port: Its port.
        tls: Whether to speak TLS.
        authority: File of the CA that has signed its certificate; None for those the system trusts.
        certificate: File of the client's certificate and key, PEM; None for none.
        username: The user's name; empty for none.
        password_file: File with the password; None for none.
        version: ``3.1.1`` or ``5``.
        client_id: What the broker knows this client by.
    """

    host: str
    port: int
    tls: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    username: str = ""
    password_file: Path | None = None
    version: str = "3.1.1"
    client_id: str = ""


def address_of(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is spoken, of ``mqtt://HOST[:1883]`` or ``mqtts://HOST[:8883]``.

    Raises:
        UsageError: It is no such address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the broker's address {url!r}: {error}") from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.username or parts.path not in ("", "/"):
        raise UsageError(f"the broker's address {url!r} must look like mqtt://HOST:1883 or mqtts://HOST:8883")
    tls = parts.scheme == "mqtts"
    return parts.hostname, port or (8883 if tls else 1883), tls


class MqttBus:
    """Answers devices and mappers on MQTT.

    Args:
        settings: The broker.
        desk: What answers.
        twins: The twins.
        rng: Source of jitter.

    Attributes:
        connected: Whether the broker is connected.
        problem: Why it is not, for a person; empty while it is.
    """

    def __init__(self, settings: BrokerSettings, desk: Desk, twins: TwinDriver, *, rng: Random) -> None:
        self._settings = settings
        self._desk = desk
        self._twins = twins
        self._backoff = Backoff(LOCAL, rng)
        self._announced: deque[Sequence[Changed]] = deque(maxlen=ANNOUNCED)
        self._wake = asyncio.Event()
        self.connected = False
        self.problem = "not connected yet"
        twins.on_change(self._changed)

    def _changed(self, changes: Sequence[Changed]) -> None:
        if self.connected:
            self._announced.append(changes)
            self._wake.set()

    def live(self) -> dict[str, Any]:
        """Return how the bus does, for ``edgecore status``."""
        broker = f"{self._settings.host}:{self._settings.port}"
        counts = {**self._twins.counts, "messagesOverCap": self._desk.flood.dropped}
        return {"broker": broker, "connected": self.connected, "problem": self.problem, **counts}

    async def run(self) -> None:
        """Keep a connection to the broker. Never returns."""
        while True:
            try:
                await self._hold()
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                self._lost(str(error) or type(error).__name__)
            except ExceptionGroup as group:
                lost, rest = group.split((aiomqtt.MqttError, OSError))
                if rest is not None:
                    raise
                assert lost is not None
                self._lost(str(lost.exceptions[0]))
            finally:
                self.connected = False
            await asyncio.sleep(self._backoff.next_delay_s() or 0.0)

    def _lost(self, reason: str) -> None:
        if reason != self.problem:
            log.warning("no MQTT broker", address=f"{self._settings.host}:{self._settings.port}", cause=reason)
        self.problem = reason

    async def _hold(self) -> None:
        """Dial once and serve until the connection ends."""
        async with self._client() as client:
            for topic in subscriptions(self._desk.node):
                await client.subscribe(topic, qos=QOS)
            self._announced.clear()
            self.connected, self.problem = True, ""
            self._backoff.reset()
            log.info("MQTT broker connected", address=f"{self._settings.host}:{self._settings.port}")
            await _publish(client, self._desk.deltas(self._twins.book.devices(), self._twins.now_ms()))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce(client), name="bus-announcements")
                await self._serve(client)

    async def _serve(self, client: aiomqtt.Client) -> None:
        incoming = aiter(client.messages)
        while True:
            batch = [_message(await anext(incoming))]
            while len(batch) < BATCH and len(client.messages):
                batch.append(_message(await anext(incoming)))
            await _publish(client, await self._answers(batch))

    async def _answers(self, batch: Sequence[Message]) -> list[Message]:
        at = Clock(time.monotonic(), self._twins.now_ms())
        try:
            return await self._twins.perform(lambda draft: self._desk.serve(batch, draft, at))
        except StorageUnavailable as error:
            log.warning("devices' messages refused", cause=str(error), messages=len(batch))
            return self._desk.unavailable(batch, at.now_ms)

    async def _announce(self, client: aiomqtt.Client) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._announced:
                await _publish(client, self._desk.announce(self._announced.popleft(), self._twins.now_ms()))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[aiomqtt.Client]:
        settings = self._settings
        context = None
        password = None
        if settings.tls:
            context = await asyncio.to_thread(_context, settings)
        if settings.password_file is not None:
            password = (await asyncio.to_thread(settings.password_file.read_text)).strip()
        async with aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username or None,
            password=password,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if settings.version == "5" else aiomqtt.ProtocolVersion.V311,
            max_queued_incoming_messages=QUEUED,
            max_inflight_messages=PUBLISHED_AT_ONCE,
            tls_context=context,
            timeout=LOCAL.timeout_s,
            keepalive=15,
        ) as client:
            yield client


async def _publish(client: aiomqtt.Client, messages: Sequence[Message]) -> None:
    """Publish in order; returns once the broker has them all."""
    for at in range(0, len(messages), PUBLISHED_AT_ONCE):
        async with asyncio.TaskGroup() as tasks:  # each begins before the next does, so that the order is kept
            for message in messages[at : at + PUBLISHED_AT_ONCE]:
                tasks.create_task(client.publish(message.topic, message.payload, qos=QOS), name="publish")


def _message(message: aiomqtt.Message) -> Message:
    payload = message.payload
    return Message(str(message.topic), payload if isinstance(payload, bytes) else b"")


def _context(settings: BrokerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.authority)
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate)
    return context
