"""Accepts TCP connections and takes them through TLS, within bounds: strangers who connect and say nothing cost little.

Contract. One task per connection, from accept to the handler's end. A connection is *half-open* until its handler says
that the peer has introduced itself (:meth:`Admission.done`). Half-open connections are limited in time, in number per
address (over it, a new one is closed at once: others are not to wait for one address) and in number overall (over it,
nothing is accepted and the kernel's backlog holds the rest: a whole fleet may come back at once, and closing what is
half-way would only make it begin anew). What is open already is never touched.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

P = TypeVar("P", bound=asyncio.BaseProtocol)

REPORT_EVERY_S: Final = 10.0
"""A bound that is reached is logged at most this often; the counters have all of it."""
RETRY_ACCEPT_S: Final = 1.0
"""Pause after an accept failed for want of file descriptors or memory."""
ACCEPT_AT_ONCE: Final = 64
"""Accepts in one turn of the loop."""
TLS_CLOSE_S: Final = 5.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class AcceptLimits:
    """Bounds on connections whose peer has not introduced itself.

    Attributes:
        handshake_s: How long TLS and what follows it may take together, seconds.
        half_open: How many may be half-open at a time; nothing is accepted meanwhile.
        half_open_per_address: How many of one address; further ones are closed at once.
        backlog: Connections the kernel holds until they are accepted.
    """

    handshake_s: float = 10.0
    half_open: int = 1024
    half_open_per_address: int = 512
    backlog: int = 4096


class Admission:
    """One connection's place among the half-open ones."""

    __slots__ = ("_acceptor", "_address", "deadline")

    def __init__(self, acceptor: Acceptor[P], address: str, deadline: float) -> None:
        self._acceptor: Acceptor[P] | None = acceptor
        self._address = address
        self.deadline = deadline

    @property
    def pending(self) -> bool:
        """Whether the peer has not introduced itself."""
        return self._acceptor is not None

    def done(self) -> None:
        """Give the place free; again, it does nothing."""
        if self._acceptor is not None:
            self._acceptor.leave(self._address)
            self._acceptor = None


class Acceptor(Generic[P]):
    """Listens on one socket.

    Args:
        sock: Bound; listened on and closed here.
        make: Makes the protocol of one connection.
        handle: Runs one connection after TLS. It calls :meth:`Admission.done` once the peer has introduced itself, by
            :attr:`Admission.deadline` (the loop's clock), or raises TimeoutError; it closes what it was given.
        tls: The server's context; None for tests.
        limits: Bounds on strangers.

    Attributes:
        counters: ``accepted``, ``refused`` (over one address's bound), ``paused`` (over the bound of all),
            ``timed_out``, ``failed`` (TLS).
    """

    def __init__(
        self,
        sock: socket.socket,
        make: Callable[[], P],
        handle: Callable[[P, Admission], Awaitable[None]],
        *,
        tls: ssl.SSLContext | None = None,
        limits: AcceptLimits | None = None,
    ) -> None:
        self._sock = sock
        self._make = make
        self._handle = handle
        self._tls = tls
        self._limits = limits or AcceptLimits()
        self._loop = asyncio.get_running_loop()
        self._half_open: Counter[str] = Counter()
        self._total = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = False
        self._reported: dict[str, float] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.counters: Counter[str] = Counter()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket that is listened on; none once closed."""
        return () if self._sock.fileno() < 0 else (self._sock,)

    @property
    def half_open(self) -> int:
        """How many connections have not introduced themselves."""
        return self._total

    def start(self) -> None:
        """Begin to accept.

        Raises:
            OSError: The socket cannot be listened on.
        """
        self._sock.setblocking(False)
        self._sock.listen(self._limits.backlog)
        self._listen()

    def close(self) -> None:
        """Stop accepting, and cancel every connection's task."""
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        self._sock.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until every connection's task has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def leave(self, address: str) -> None:
        """Take note that a connection of ``address`` is not half-open any more."""
        self._total -= 1
        self._half_open[address] -= 1
        if not self._half_open[address]:
            del self._half_open[address]
        if self._total < self._limits.half_open and self._retry is None:
            self._listen()

    def _listen(self) -> None:
        if not self._listening and self._sock.fileno() >= 0:
            self._listening = True
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _pause(self) -> None:
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._sock.fileno())

    def _accept(self) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            if self._total >= self._limits.half_open:
                self._pause()
                self._count("paused", "too many half-open connections, accepting none", half_open=self._total)
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in _EXHAUSTED:
                    raise
                self._pause()
                self._count("exhausted", "cannot accept", cause=str(exc))
                self._retry = self._loop.call_later(RETRY_ACCEPT_S, self._accept_again)
                return
            self._admit(sock, str(address[0]))

    def _accept_again(self) -> None:
        self._retry = None
        self._listen()

    def _admit(self, sock: socket.socket, address: str) -> None:
        if self._half_open[address] >= self._limits.half_open_per_address:
            sock.close()
            self._count("refused", "too many half-open connections of one address", address=address)
            return
        self._half_open[address] += 1
        self._total += 1
        self.counters["accepted"] += 1
        admission = Admission(self, address, self._loop.time() + self._limits.handshake_s)
        task = self._loop.create_task(self._run(sock, address, admission), name=f"connection from {address}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, sock: socket.socket, address: str, admission: Admission) -> None:
        try:
            protocol = await self._secure(sock, admission)
            if protocol is not None:
                await self._handle(protocol, admission)
        except Exception as exc:  # the top of one connection: the others go on
            if isinstance(exc, TimeoutError) and admission.pending:
                self._count("timed_out", "a handshake took too long", address=address)
            else:
                log.exception("a connection's handler failed", address=address)
        finally:
            admission.done()

    async def _secure(self, sock: socket.socket, admission: Admission) -> P | None:
        """Set up the transport, TLS and all; None where the peer did not manage it.

        Raises:
            TimeoutError: It took too long.
        """
        sock.setblocking(False)
        options: dict[str, float] = {} if self._tls is None else {"ssl_shutdown_timeout": TLS_CLOSE_S}
        try:
            async with asyncio.timeout_at(admission.deadline):
                protocol = self._make()  # not in the loop: uvloop would return its own around it
                await self._loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._tls, **options)
                return protocol
        except TimeoutError:
            sock.close()
            raise
        except OSError:  # ssl.SSLError is one; the context's own SSLObject says more, where it is a reporting one
            self.counters["failed"] += 1
        sock.close()
        return None

    def _count(self, what: str, event: str, **fields: object) -> None:
        self.counters[what] += 1
        now = self._loop.time()
        if now - self._reported.get(what, -REPORT_EVERY_S) >= REPORT_EVERY_S:
            self._reported[what] = now
            log.warning(event, **fields, times=self.counters[what])


async def hand_over(_protocol: asyncio.BaseProtocol, admission: Admission) -> None:
    """Handle a connection whose protocol serves it by itself (an HTTP server's): only TLS is bounded."""
    admission.done()
