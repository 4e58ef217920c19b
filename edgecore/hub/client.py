"""Keeps one session with the cloud going for as long as the agent runs.

One task, :meth:`HubClient.run`, dials, runs a session, and waits: with full jitter after a failure, no sooner than
the cloud asked when it asked, and minutes when the cloud refuses this node for good (it was deleted, its certificate
superseded, another instance lives under its name). The pods do not depend on any of it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from edgecore.hub.linkview import measures_view, outbox_view
from edgecore.hub.requests import Requests
from edgecore.hub.session import Ending, Introduction, LinkTerms, Session, Vitals
from edgecore.hub.traffic import TrafficAccount
from edgecore.meta.store import MetaStore
from protocol.backoff import RECONNECT, Backoff, RetryPolicy
from protocol.errors import AiokubeedgeError, ConnectionClosed, RemoteProtocolError
from protocol.frames import CloseCode
from protocol.heartbeat import digest_mark
from protocol.measures import LinkMeasures
from protocol.messages import Welcome
from protocol.settings import LinkSettings
from protocol.transports.base import Connection

log = structlog.get_logger("edgecore.hub")

Dial = Callable[[], Awaitable[Connection]]
"""Opens a connection to the hub. Raises ConnectionClosed, RemoteProtocolError or OSError where it cannot."""

REFUSED = RetryPolicy(max_retries=None, initial_delay_s=240.0, max_delay_s=900.0)
"""A node that was refused for good looks again every few minutes: somebody may have put it right."""
REFUSED_AT_LEAST_S = 60.0

DIAL_S = 10.0
"""TCP, TLS and the WebSocket handshake may take so long together."""

LONGEST_ABSENCE_S = 3600.0
"""A cloud that asks for a longer absence is not heeded: a wrong number must not lose the node for good."""

STABLE_S = 5.0
"""No shorter session is a success, after which the first wait is short again (at most a second)."""

RESTATE_AFTER_S = 30.0
"""Away for longer, the node may have been given up: it then states all its reports again."""

REFUSALS = {
    CloseCode.UNAUTHORIZED: "the cloud does not accept this node's certificate: join again",
    CloseCode.UNKNOWN_NODE: "this node was deleted in the cloud, or never joined it: join again, or stop the agent",
    CloseCode.OTHER_INSTANCE: "another device lives under this node's name: join one of them under another name",
    CloseCode.REVOKED: "this node's certificate was superseded by a later join: stop this agent, or join again",
    CloseCode.UNKNOWN_VERSION: "the cloud speaks another protocol version: upgrade the agent or the cloud",
}
"""Close codes that trying again soon cannot mend, and what a person can do."""


class Phase(enum.StrEnum):
    """Where the way to the cloud stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    OFFLINE = "offline"
    REFUSED = "refused"
    STANDALONE = "standalone"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class LinkState:
    """The way to the cloud, for people.

    Attributes:
        phase: Where it stands.
        reason: Why, where there is something to say.
        address: The hub's address while connected.
        code: The close code behind ``offline`` and ``refused``.
        retry_in_s: When the next attempt is made, seconds from this state's beginning.
    """

    phase: Phase
    reason: str = ""
    address: str = ""
    code: int = 0
    retry_in_s: float = 0.0


class HubClient:
    """Dials the hub again and again.

    Args:
        dial: Opens a connection; None where the cloud is not to be dialled.
        store: The meta store.
        introduction: Who this node is.
        vitals: What heartbeats tell.
        rng: Source of jitter.
        settings: The link's settings; may be changed, for the sessions to come.
        account: Counts the node's bytes; None counts them for nobody.
        on_state: Told whenever the link's state changes.

    Attributes:
        requests: Asks the cloud things that have an answer.
    """

    def __init__(
        self,
        dial: Dial | None,
        store: MetaStore,
        introduction: Introduction,
        *,
        vitals: Vitals,
        rng: Random,
        settings: LinkSettings | None = None,
        account: TrafficAccount | None = None,
        on_state: Callable[[LinkState], None] = lambda _: None,
    ) -> None:
        self._dial = dial
        self._store = store
        self._introduction = introduction
        self._vitals = vitals
        self._rng = rng
        self.settings = settings or LinkSettings()
        self._account = account or TrafficAccount(lambda: 0.0)
        self._measures = LinkMeasures()
        self._tell = on_state
        self.requests = Requests()
        self._session: Session | None = None
        self._dialling: asyncio.Timeout | None = None
        self._leaving = asyncio.Event()
        self._at_once = asyncio.Event()
        self._backoff = Backoff(RECONNECT, rng)
        self._refused = Backoff(REFUSED, rng)
        self._connected_at: float | None = None
        self._last_seen: float | None = None
        self.state = LinkState(Phase.OFFLINE, "not dialled yet")

    async def run(self) -> None:
        """Keep a session going until :meth:`leave`."""
        if self._dial is None:
            self._set_state(LinkState(Phase.STANDALONE, "runs with --offline: the cloud is not dialled"))
            await self._leaving.wait()
        while not self._leaving.is_set():
            ending = await self._attempt()
            if self._leaving.is_set():
                break
            delay_s = self._plan(ending)
            if self.state.phase is not Phase.REFUSED and self._at_once.is_set():
                self._backoff.reset()
                delay_s = 0.0
            await self._pause(delay_s)
            self._at_once.clear()
        await self._account.checkpoint(asyncio.get_running_loop().time(), at_least_every_s=0.0)
        self._set_state(LinkState(Phase.STOPPED, "the agent stopped"))

    def live(self) -> dict[str, Any]:
        """Return how the link does at this moment, for ``edgecore status``."""
        session = self._session
        link = session.link if session is not None and self.state.phase is Phase.CONNECTED else None
        now = asyncio.get_running_loop().time()
        return {
            "digest": f"{digest_mark(self._store.digest):08x}",
            "rttMs": None if link is None or link.rtt_s is None else round(link.rtt_s * 1000, 3),
            "outbox": outbox_view(link, self._store.owed(), now),
            **measures_view(self._measures, self._account.meter),
        }

    def cap(self, daily_bytes: int) -> None:
        """Change the daily cap; what it held may go at once."""
        self._account.meter.daily_bytes = daily_bytes
        if self._session is not None:
            self._session.pump()

    def redial(self, reason: str) -> None:
        """End the session there is, or the wait for the next, and dial at once: the way to the cloud is another."""
        self._at_once.set()
        if self._session is not None:
            self._session.leave(reason)
        elif self._dialling is not None and not self._dialling.expired():
            self._dialling.reschedule(asyncio.get_running_loop().time())

    def leave(self, reason: str = "the agent stops") -> None:
        """Say goodbye to the cloud and end :meth:`run`."""
        self._leaving.set()
        self._at_once.set()
        if self._session is not None:
            self._session.leave(reason)
        elif self._dialling is not None and not self._dialling.expired():
            self._dialling.reschedule(asyncio.get_running_loop().time())

    async def _attempt(self) -> Ending:
        """Dial once and run the session, if one comes about."""
        assert self._dial is not None
        self._set_state(LinkState(Phase.CONNECTING))
        try:
            async with asyncio.timeout(DIAL_S) as self._dialling:
                connection = await self._dial()
        except RemoteProtocolError as error:
            return Ending(error.code, error.reason, 0.0, opened=False)
        except ConnectionClosed as error:
            return Ending(CloseCode.ABNORMAL, error.reason, 0.0, opened=False)
        except (AiokubeedgeError, OSError) as error:  # TimeoutError and ssl's errors are OSErrors
            return Ending(CloseCode.ABNORMAL, str(error) or type(error).__name__, 0.0, opened=False)
        finally:
            self._dialling = None
        if self._leaving.is_set():
            await connection.close(CloseCode.GOING_AWAY, "the agent stops")
            return Ending(CloseCode.GOING_AWAY, "the agent stops", 0.0, opened=False)
        return await self._hold(connection)

    async def _hold(self, connection: Connection) -> Ending:
        def opened(welcome: Welcome) -> None:
            self._connected_at = asyncio.get_running_loop().time()
            self._refused.reset()
            self._set_state(LinkState(Phase.CONNECTED, address=connection.peer_address))
            log.info(
                "connected", address=connection.peer_address, epoch=welcome.epoch, resume=welcome.resume.name.lower()
            )

        now = asyncio.get_running_loop().time()
        self._session = Session(
            connection,
            self._store,
            self._introduction,
            vitals=self._vitals,
            rng=self._rng,
            terms=LinkTerms(self.settings, self._account, self._measures, self.requests),
            restate=self._last_seen is None or now - self._last_seen > RESTATE_AFTER_S,
            on_open=opened,
        )
        try:
            ending = await self._session.run()
        finally:
            self._session = None
        if ending.opened:
            self._last_seen = asyncio.get_running_loop().time()
        return ending

    def _plan(self, ending: Ending) -> float:
        """Return how long to wait after ``ending``, seconds, and say so."""
        asked_s = min(ending.retry_after_s, LONGEST_ABSENCE_S)
        if ending.code in REFUSALS:
            advice = REFUSALS[CloseCode(ending.code)]
            delay_s = self._refused.next_delay_s(at_least_s=max(REFUSED_AT_LEAST_S, asked_s)) or 0.0
            log.error(
                "refused by the cloud, pods keep running", cause=ending.reason, advice=advice, code=int(ending.code)
            )
            self._set_state(LinkState(Phase.REFUSED, f"{ending.reason}: {advice}", "", ending.code, delay_s))
            return delay_s
        if self._was_stable():
            self._backoff.reset()
        delay_s = self._backoff.next_delay_s(at_least_s=asked_s) or 0.0
        log.warning(
            "offline, pods keep running", cause=ending.reason, code=int(ending.code), retry_in_s=round(delay_s, 2)
        )
        self._set_state(LinkState(Phase.OFFLINE, ending.reason, "", ending.code, delay_s))
        return delay_s

    def _was_stable(self) -> bool:
        """Tell whether the session lasted long enough to count as a success, and forget it.

        On a network that is cut several times a minute a session must count although it was short, or the node would
        be away for longer and longer; where sessions end at once it must not, or there would be no pace.
        """
        since, self._connected_at = self._connected_at, None
        lasted_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return lasted_s >= STABLE_S

    async def _pause(self, delay_s: float) -> None:
        """Wait, unless the cloud is to be dialled at once or not at all; who was refused is not to come sooner."""
        event = self._leaving if self.state.phase is Phase.REFUSED else self._at_once
        try:
            async with asyncio.timeout(delay_s):
                await event.wait()
        except TimeoutError:
            return

    def _set_state(self, state: LinkState) -> None:
        self.state = state
        self._tell(state)
