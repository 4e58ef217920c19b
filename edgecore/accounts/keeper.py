"""Gets the tokens of the pods on this device from the cloud, keeps them, and renews them. A ``TokenSource``.

Contract. One task, :meth:`TokenKeeper.run`, owns the asking: at most :data:`ASKING` requests at once, each in a task of
its own; it also does all disk work, in threads. Everything else is called on the event loop and waits for nothing, but
:meth:`TokenKeeper.settled`. A token is used once it came, kept on disk as soon as that takes it: where the disk
does not, only a restart without the cloud is worse off.

While the cloud is out of reach no token is renewed, and what pods hold stays good at the metaserver (``ledger``). A pod
that comes up without a token then gets one that the device makes itself: the metaserver takes it, the cloud does not,
and the cloud's takes its place as soon as the link is back. Tokens for others than the API must come from the cloud.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import structlog

from edgecore.accounts.files import TokenFiles
from edgecore.accounts.ledger import Slot, Token, TokenLedger, Want, digest_of
from edgecore.accounts.wants import BadAnswer, account_of, question, token_of, wants_of
from edgecore.hub.requests import NotReached, RequestRefused, Requests
from edgecore.meta.base import Applied, Desired
from edgecore.pods.sources import ReferenceMissing, TokenRequest
from protocol.backoff import Backoff, RetryPolicy
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import PODS, SERVICE_ACCOUNTS

log = structlog.get_logger(__name__)

ASKING: Final = 16
AGAIN: Final = RetryPolicy(max_retries=None, initial_delay_s=1.0, max_delay_s=300.0)
"""A request that was refused or not answered is made again: somebody may have put it right."""
FETCH_S: Final = 5.0
"""A pod's volumes wait so long for a token that is under way, before the pod is told that they wait."""
LOOK_S: Final = 600.0
"""How often the wall clock is looked at: a token's life goes on while the device sleeps."""
LEAST_LOOK_S: Final = 1.0
"""Timers may ring a little early: the task does not spin until then. What cannot wait wakes it."""
LOCAL_LIFE_S: Final = 86_400.0
LOCAL_PREFIX: Final = "edge-local."


@dataclass(slots=True)
class _Place:
    """A slot, and how far its token is."""

    want: Want
    backoff: Backoff
    asking: bool = False
    not_before: float = 0.0
    failure: str = ""


class TokenKeeper:
    """Implements :class:`edgecore.pods.sources.TokenSource` and :class:`edgecore.meta.base.Subscriber`.

    Args:
        folder: Where tokens are kept.
        desired: The store.
        requests: Asks the cloud.
        changed: Told of a pod whose volumes have to be made anew.
        wall: Reads the time, seconds since the epoch; timers run on the event loop's clock.
        local: Whether the device may make tokens itself: only where its metaserver takes them.
        rng: Spreads retries.
    """

    def __init__(
        self,
        folder: Path,
        desired: Desired,
        requests: Requests,
        *,
        changed: Callable[[Uid], None],
        wall: Callable[[], float] = time.time,
        local: bool = True,
        rng: Random | None = None,
    ) -> None:
        self.ledger = TokenLedger()
        """Knows the pods' tokens again."""
        self._files = TokenFiles(folder)
        self._desired = desired
        self._requests = requests
        self._changed = changed
        self._wall = wall
        self._local = local
        self._rng = rng or SystemRandom()
        self._places: dict[Slot, _Place] = {}
        self._revoked: set[Uid] = set()
        self._unsaved: set[Uid] = set()
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._loaded = asyncio.Event()
        requests.on_change(self._link_changed)

    # --- TokenSource ----------------------------------------------------------------------------------------------

    async def settled(self, pod: Body) -> None:
        """Wait a moment for the pod's tokens where they are under way; they need not have come then."""
        await self._loaded.wait()
        self._take(pod)
        try:
            async with asyncio.timeout(FETCH_S), self._news:
                await self._news.wait_for(lambda: not self._is_under_way(pod))
        except TimeoutError:
            return

    def token(self, pod: Body, request: TokenRequest) -> bytes:
        """Return the token to write into the pod's volume now.

        Raises:
            ReferenceMissing: There is none yet.
        """
        uid = Uid(pod["metadata"]["uid"])
        slot = (uid, request.audience, request.expiration_s)
        newest = self.ledger.newest(slot)
        if newest is not None:
            return newest.text.encode()
        if uid in self._revoked:
            return b""  # the account is gone: what it was must leave the disk, too
        place = self._places.get(slot)
        if place is not None and self._local and not request.audience and not self._requests.connected:
            return self._made_here(place.want).text.encode()
        raise ReferenceMissing(f"failed to fetch token: {self._why(place)}")

    def _why(self, place: _Place | None) -> str:
        if place is not None and place.failure:
            return place.failure
        return "waiting for the cloud" if self._requests.connected else "the cloud cannot be reached"

    def _made_here(self, want: Want) -> Token:
        text = LOCAL_PREFIX + secrets.token_urlsafe(32)
        token = Token(want, text, digest_of(text), self._wall(), LOCAL_LIFE_S, local=True)
        self._keep(token)
        log.info("token made here, for want of the cloud", pod=want.owner.pod, account=want.owner.account)
        return token

    # --- Subscriber -----------------------------------------------------------------------------------------------

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of pods and accounts that came, changed or went."""
        for change in changes:
            if change.key.resource == PODS:
                self._pod_changed(change)
            elif change.key.resource == SERVICE_ACCOUNTS:
                self._account_changed(change)

    def completed(self) -> None:
        """Forget the tokens of pods that are not wanted."""
        held = {pod.uid for pod in self._desired.list(PODS)}
        for uid in self.ledger.pods() - held:
            self._forget(uid)

    def _pod_changed(self, change: Applied) -> None:
        held, previous = change.held, change.previous
        if previous is not None and (held is None or held.uid != previous.uid):
            self._forget(previous.uid)
            self._revoked.discard(previous.uid)
        if held is not None:
            self._take(held.body)

    def _account_changed(self, change: Applied) -> None:
        held, previous = change.held, change.previous
        gone = previous is not None and (held is None or held.uid != previous.uid)
        for pod in self._desired.list(PODS):
            if pod.key.namespace != change.key.namespace or account_of(pod.body) != change.key.name:
                continue
            if gone and self._forget(pod.uid):
                self._revoked.add(pod.uid)
                self._changed(pod.uid)
            if held is not None:
                self._take(pod.body)

    def _take(self, pod: Body) -> None:
        """Take note of the tokens that a pod wants."""
        account = self._desired.get(ObjectKey(SERVICE_ACCOUNTS, pod["metadata"].get("namespace", ""), account_of(pod)))
        for want in wants_of(pod, Uid("") if account is None else account.uid):
            place = self._places.get(want.slot)
            if place is None:
                self._places[want.slot] = _Place(want, Backoff(AGAIN, self._rng))
                self._wake.set()
            elif place.want.owner.account_uid != want.owner.account_uid:
                place.want, place.not_before = want, 0.0
                self._wake.set()

    def _forget(self, uid: Uid) -> bool:
        for slot in [slot for slot in self._places if slot[0] == uid]:
            del self._places[slot]
        had = self.ledger.forget(uid)
        self._unsaved.add(uid)
        self._wake.set()
        return had

    # --- the task -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask for what is wanted and due, for as long as the agent runs."""
        await self._load()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                await self._save()
                self._ask(tasks)
                try:
                    async with asyncio.timeout_at(self._next_look()):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _load(self) -> None:
        tokens = await asyncio.to_thread(self._files.load)
        self.ledger.load(tokens, self._now(), self._wall())
        for pod in self._desired.list(PODS):
            self._take(pod.body)
        if self._desired.complete:
            self.completed()
        self._loaded.set()

    async def _save(self) -> None:
        for uid in sorted(self._unsaved):
            self._unsaved.discard(uid)
            tokens = list(self.ledger.tokens(uid))
            try:
                if tokens:
                    await asyncio.to_thread(self._files.keep, uid, tokens)
                else:
                    await asyncio.to_thread(self._files.remove, uid)
            except OSError as error:
                log.warning("tokens not kept", pod=uid, cause=str(error))

    def _ask(self, tasks: asyncio.TaskGroup) -> None:
        if not self._requests.connected:
            return
        now, wall = self._now(), self._wall()
        asking = sum(place.asking for place in self._places.values())
        for slot, place in self._places.items():
            if asking >= ASKING:
                return  # whoever ends wakes the task
            if not place.asking and now >= place.not_before and self.ledger.is_due(slot, now, wall):
                place.asking = True
                asking += 1
                tasks.create_task(self._get(slot, place), name=f"token of {place.want.owner.pod}")

    async def _get(self, slot: Slot, place: _Place) -> None:
        want = place.want
        try:
            token = token_of(want, await self._requests.ask(*question(want)), self._wall())
        except (RequestRefused, BadAnswer) as error:
            log.warning("no token", pod=want.owner.pod, account=want.owner.account, cause=str(error))
            self._failed(place, str(error))
        except NotReached as error:
            self._failed(place, str(error))
        else:
            if self._places.get(slot) is place and place.want == want:
                place.failure, place.not_before = "", 0.0
                place.backoff.reset()
                self._revoked.discard(slot[0])
                self._keep(token)
                self._changed(slot[0])
        finally:
            place.asking = False
            self._wake.set()
            async with self._news:
                self._news.notify_all()

    def _failed(self, place: _Place, why: str) -> None:
        place.failure = why
        place.not_before = self._now() + (place.backoff.next_delay_s() or 0.0)

    def _keep(self, token: Token) -> None:
        self.ledger.came(token, self._now())
        self._unsaved.add(token.want.owner.pod_uid)
        self._wake.set()

    def _is_under_way(self, pod: Body) -> bool:
        """Tell whether a token of the pod may come any moment."""
        uid = Uid(pod["metadata"]["uid"])
        return self._requests.connected and any(
            self.ledger.newest(slot) is None and not place.failure
            for slot, place in self._places.items()
            if slot[0] == uid
        )

    def _next_look(self) -> float:
        now = self._now()
        looks = [now + LOOK_S]
        # Where as many are asked for as may be, whoever ends wakes the task.
        if self._requests.connected and sum(place.asking for place in self._places.values()) < ASKING:
            for slot, place in self._places.items():
                due_at = self.ledger.due_at(slot)
                if not place.asking:
                    looks.append(max(place.not_before, now if due_at is None else due_at))
        return max(now + LEAST_LOOK_S, min(looks))

    def _link_changed(self, connected: bool) -> None:
        if connected:
            self.ledger.reachable(self._now())
            for place in self._places.values():
                place.not_before = 0.0
        else:
            self.ledger.unreachable()
        self._wake.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
