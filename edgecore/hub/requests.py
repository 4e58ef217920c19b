"""Questions to the cloud that have an answer, over whichever session there is.

A request goes up as a command with an id. Where the cloud takes it, it settles it as applied and sends the answer down
as a command ``answer`` with the same id; where it does not, the rejection is the answer. Nothing of it is kept on
disk: who asked and was cut off asks again, with the same id if doing it twice would do harm.

Contract. Everything runs on the event loop. At most :data:`MAX_WAITING` requests wait at once, the next one is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from protocol.errors import AiokubeedgeError, OutboxFull
from protocol.messages import Item, Op, Outcome, Verdict
from protocol.objects.keys import ObjectKey, Revision, Uid

MAX_WAITING: Final = 256
ANSWER_S: Final = 30.0

Send = Callable[[Item], None]


class RequestFailed(AiokubeedgeError):
    """There is no answer: see :class:`RequestRefused` and :class:`NotReached`."""


class NotReached(RequestFailed):
    """The cloud cannot be reached, or did not answer in time; whether it did what was asked is not known."""


class RequestRefused(RequestFailed):
    """The cloud says no.

    Args:
        code: A CamelCase word for programs.
        reason: One sentence for a person.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Requests:
    """Asks the cloud. Outlives the sessions that carry it."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._told: set[str] = set()
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def connected(self) -> bool:
        """Whether there is a session that takes requests."""
        return self._send is not None

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` with whether the cloud can be asked, each time that changes."""
        self._listeners.append(listener)

    async def ask(self, key: ObjectKey, body: bytes, *, request_id: str = "", timeout_s: float = ANSWER_S) -> bytes:
        """Return the body of the cloud's answer.

        Args:
            key: What is asked, in its resource, and of what.
            body: The question, msgpack.
            request_id: What a repeat is known by; empty for a new one.
            timeout_s: How long to wait, seconds.

        Raises:
            RequestRefused: The cloud says no.
            NotReached: The cloud cannot be reached, or did not answer in time.
        """
        if self._send is None:
            raise NotReached("the cloud cannot be reached")
        if len(self._waiting) >= MAX_WAITING:
            raise NotReached("too many requests wait for the cloud's answer")
        request_id = request_id or str(uuid4())
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            async with asyncio.timeout(timeout_s):
                self._send(Item(Op.COMMAND, key, Uid(""), Revision(0), body, id=request_id))
                return await answer
        except OutboxFull:
            raise NotReached("too much waits to be sent to the cloud") from None
        except TimeoutError:
            raise NotReached(f"the cloud did not answer within {timeout_s:.0f} s") from None
        finally:
            if self._waiting.get(request_id) is answer:
                del self._waiting[request_id]

    async def tell(self, key: ObjectKey, body: bytes, *, request_id: str, timeout_s: float = ANSWER_S) -> None:
        """Have the cloud take something that has no answer; returns once it is on the cloud's disk.

        Args:
            key: What it is.
            body: It, msgpack.
            request_id: What a repeat is known by.
            timeout_s: How long to wait, seconds.

        Raises:
            RequestRefused: The cloud does not take it.
            NotReached: The cloud cannot be reached, or did not settle it in time.
        """
        self._told.add(request_id)
        try:
            await self.ask(key, body, request_id=request_id, timeout_s=timeout_s)
        finally:
            self._told.discard(request_id)

    # What sessions call.

    def opened(self, send: Send) -> None:
        """Take note of a session that takes requests."""
        self._send = send
        self._changed(connected=True)

    def ended(self, send: Send) -> None:
        """Take note that the session is over: nobody will answer what it carried."""
        if self._send != send:
            return
        self._send = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(NotReached("the connection to the cloud was lost"))
        self._changed(connected=False)

    def answered(self, item: Item) -> None:
        """Take an answer; one that nobody waits for any more is passed over."""
        answer = self._waiting.get(item.id)
        if answer is not None and not answer.done():
            answer.set_result(item.body)

    def settled(self, item: Item, verdict: Verdict) -> None:
        """Take the cloud's verdict on a request."""
        answer = self._waiting.get(item.id) if item.id else None
        if answer is not None and not answer.done() and verdict.outcome is Outcome.REJECTED:
            answer.set_exception(RequestRefused(verdict.code, verdict.reason))
        elif answer is not None and not answer.done() and verdict.outcome is Outcome.APPLIED and item.id in self._told:
            answer.set_result(b"")

    def _changed(self, *, connected: bool) -> None:
        for listener in self._listeners:
            listener(connected)
