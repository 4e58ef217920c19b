"""Takes writes to the cloud: at once while it can be reached, from the disk and in their order when it comes back.

Contract. :meth:`Passage.submit` is called by the requests' tasks, :meth:`Passage.run` is one task of its own and the
only one that sends what waits. While anything waits, new writes wait behind it. A write that was under way when the
cloud went is queued under its id, so that the cloud, which remembers what it did under it, does nothing twice. An
answer that tells of the cloud's own trouble (429, 5xx) leaves a queued write where it is, and it is tried again.
A write is on disk before its writer hears that it is queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final, Protocol

import msgpack
import structlog

from edgecore.hub.requests import NotReached, RequestRefused
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.writefolder import WriteFolder
from edgecore.metaserver.writes import PREVIOUS, Refused, Write, WriteQueue
from protocol.backoff import Backoff, RetryPolicy
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import POD_REQUEST

log = structlog.get_logger("edgecore.metaserver")

DIRECT_S: Final = 10.0
"""A writer waits so long for the cloud; then its write is queued."""
LANDING_S: Final = 30.0
"""How long what the cloud has taken is still shown from here, until it comes down the link."""
AGAIN: Final = RetryPolicy(max_retries=None, initial_delay_s=1.0, max_delay_s=60.0)


class Cloud(Protocol):
    """Asks the cloud (:class:`edgecore.hub.requests.Requests`)."""

    @property
    def connected(self) -> bool:
        """Whether it can be asked."""

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` each time that changes."""

    async def ask(self, key: ObjectKey, body: bytes, *, request_id: str = "", timeout_s: float = 30.0) -> bytes:
        """Return the cloud's answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the cloud made of a write or a read.

    Attributes:
        code: The HTTP code.
        body: The object, or a ``Status``.
        version: The content version of the object as written; 0 where there is none.
    """

    code: int
    body: Body
    version: int


@dataclass(frozen=True, slots=True)
class _Landing:
    write: Write
    version: int
    until: float


class Passage:
    """The way of writes to the cloud.

    Args:
        cloud: Asks it.
        folder: Where writes wait.
        wall: Seconds since the epoch.
        version_of: Returns the content version of an object as the device holds it; 0 where it does not.
        changed: Called with each object of which something else is to be shown now.
        refused: Called with each write that was refused after its writer had been told that it is queued.
        rng: Source of jitter.
    """

    def __init__(
        self,
        cloud: Cloud,
        folder: WriteFolder,
        *,
        wall: Callable[[], float],
        version_of: Callable[[ObjectKey], int],
        changed: Callable[[ObjectKey], None],
        refused: Callable[[Refused], None],
        rng: Random,
    ) -> None:
        self._cloud = cloud
        self._folder = folder
        self._wall = wall
        self._version_of = version_of
        self.changed = changed
        self._refused = refused
        self.queue = WriteQueue(*folder.load())
        self._landing: dict[str, _Landing] = {}
        self._wake = asyncio.Event()
        self._keeping = asyncio.Lock()
        self._backoff = Backoff(AGAIN, rng)
        self._loop = asyncio.get_running_loop()
        cloud.on_change(lambda _: self._wake.set())

    @property
    def connected(self) -> bool:
        """Whether the cloud can be asked at this moment."""
        return self._cloud.connected

    def upon(self, key: ObjectKey) -> list[Write]:
        """Return the writes upon an object that the store does not show yet, oldest first."""
        landing = [each.write for each in self._landing.values() if each.write.key == key and self._still(each)]
        return [*landing, *self.queue.upon(key)]

    def written(self) -> set[ObjectKey]:
        """Return the objects with such writes."""
        return {each.write.key for each in self._landing.values()} | {write.key for write in self.queue}

    def seen(self, key: ObjectKey, uid: str, version: int) -> tuple[str, int]:
        """Return uid and content version of what is shown of an object that the store has under these.

        Of an object that writes on their way have made, the device does not know the uid.
        """
        if self.queue.upon(key):
            return uid, PREVIOUS
        landing = [each for each in self._landing.values() if each.write.key == key and self._still(each)]
        return (uid, landing[-1].version) if landing else (uid, version)

    async def submit(self, write: Write) -> Answer | None:
        """Take a write to the cloud; None where it waits for it, on disk.

        Raises:
            Failure: It is refused, there is no room for it, or the disk does not take it.
        """
        if self._cloud.connected and not len(self.queue):
            try:
                answer = await self.ask(write)
            except NotReached as error:
                log.info("write queued", object=str(write.key), cause=str(error))
            else:
                if answer.code < 400:
                    self._land(write, answer.version)
                return answer
        if isinstance(write.body, bytes):
            message = "while the cloud cannot be reached this device takes JSON only (kubectl: create -f, apply, patch)"
            raise Failure("UnsupportedMediaType", message)
        async with self._keeping:
            self.queue.require_room(write)
            try:
                await asyncio.to_thread(self._folder.keep, write)
            except OSError as error:
                raise Failure("ServiceUnavailable", f"the write cannot be kept: {error}", retry_after_s=30) from error
            self.queue.add(write)
        self._wake.set()
        self.changed(write.key)
        return None

    async def ask(self, write: Write, *, timeout_s: float = DIRECT_S) -> Answer:
        """Ask the cloud to do it and return what it says, failures included.

        Raises:
            NotReached: There is no answer.
        """
        key = ObjectKey(POD_REQUEST, write.author.namespace, write.author.pod)
        try:
            told = await self._cloud.ask(key, packed(write), request_id=write.id, timeout_s=timeout_s)
        except RequestRefused as error:
            failure = Failure(error.code, error.reason)
            return Answer(failure.code, failure.status(), 0)
        answer = msgpack.unpackb(told, strict_map_key=False)
        return Answer(int(answer["code"]), answer["body"], int(answer.get("version") or 0))

    async def run(self) -> None:
        """Send what waits whenever the cloud can be reached. Never returns."""
        while True:
            self._wake.clear()
            write = self.queue.head()
            if write is None or not self._cloud.connected:
                await self._wake.wait()
                continue
            if not await self._send(write):
                await asyncio.sleep(self._backoff.next_delay_s() or 0.0)

    async def _send(self, write: Write) -> bool:
        """Send the oldest write; False where it has to be tried again."""
        try:
            answer = await self.ask(write)
        except NotReached:
            return False
        if answer.code == 429 or answer.code >= 500:
            log.warning("write put off", id=write.id, object=str(write.key), cause=answer.body.get("message", ""))
            return False
        self._backoff.reset()
        async with self._keeping:
            try:
                await self._settle(write, answer)
            except OSError as error:
                log.warning("a write's end is not on disk; it is sent again after a restart", cause=str(error))
        self.changed(write.key)
        return True

    async def _settle(self, write: Write, answer: Answer) -> None:
        gone = write.verb == "delete" and answer.code == 404  # by this very write, perhaps, whose answer was lost
        if answer.code < 400 or gone:
            self._land(write, answer.version)
            for follower in self.queue.settled(write.id, answer.version):
                await asyncio.to_thread(self._folder.keep, follower)
            await asyncio.to_thread(self._folder.settled, write.id)
            return
        reason, message = str(answer.body.get("reason", "")), str(answer.body.get("message", ""))
        log.warning("queued write refused", id=write.id, object=str(write.key), code=reason, cause=message)
        refused = self.queue.refuse(write.id, self._wall(), reason, message)
        for each in refused:
            self._refused(each)
        await asyncio.to_thread(self._folder.refuse, refused, self.queue.refused)

    def _land(self, write: Write, version: int) -> None:
        """Go on showing a write until it comes down the link."""
        if (not version and write.verb != "delete") or isinstance(write.body, bytes):
            return
        self._landing[write.id] = _Landing(write, version, self._loop.time() + LANDING_S)
        self._loop.call_later(LANDING_S, self._landed, write)
        self.changed(write.key)

    def _landed(self, write: Write) -> None:
        if self._landing.pop(write.id, None) is not None:
            self.changed(write.key)

    def _still(self, landing: _Landing) -> bool:
        held = self._version_of(landing.write.key)
        if landing.write.verb == "delete":
            return held != 0
        return held < landing.version


def packed(write: Write) -> bytes:
    """Return the body of the request that carries ``write``."""
    sent: dict[str, Any] = asdict(write)
    del sent["at"], sent["size"], sent["id"]
    sent["key"] = list(write.key)
    sent["version"] = max(0, write.version) if write.version != PREVIOUS else 0
    body: bytes = msgpack.packb(sent)
    return body
