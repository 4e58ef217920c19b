"""The tokens of the pods on this device: which are wanted, which are due, and whose a token is. Performs no I/O.

A token is known again by its SHA-256, because the device wrote it into the pod's volume itself: no signature is
checked here, and no library for it loaded. Its age is measured on the device's own clocks, for the cloud's and the
device's may be years apart: on the monotonic one where this process has seen it come, else on the wall clock.

==============================  ===================================================================================
a token is                      when
==============================  ===================================================================================
due (to be asked for anew)      80 % of its life have passed, or a day; or the wall clock stands before it came
good at the metaserver          its life has not passed; or the cloud has been out of reach since, and
                                ``GRACE_S`` beyond, for applications read the file again each minute or so
good for nothing                its pod or its account has left the device, or another of their name came
==============================  ===================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from protocol.objects.keys import Uid

DUE_SHARE: Final = 0.8
"""Share of its life after which a token is asked for anew (the kubelet's)."""
DUE_AFTER_S: Final = 86_400.0
"""After so long it is asked for anew whatever its life (the kubelet's)."""
GRACE_S: Final = 300.0
"""An expired token is taken for so long after the cloud came back: its successor is on its way to the application."""
KEPT_DIGESTS: Final = 8
"""Tokens of one pod and kind that are known at once; an application may hold an older one until that ends."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a token is.

    Attributes:
        namespace: The namespace of both.
        account: The service account.
        account_uid: Its uid; empty where the device made the token before the account came.
        pod: The pod.
        pod_uid: Its uid.
    """

    namespace: str
    account: str
    account_uid: Uid
    pod: str
    pod_uid: Uid


@dataclass(frozen=True, slots=True)
class Want:
    """A token that a pod's volume asks for.

    Attributes:
        owner: For whom.
        audience: Whom it is for; empty for the API.
        expiration_s: The life it should have, seconds.
    """

    owner: Owner
    audience: str
    expiration_s: int

    @property
    def slot(self) -> Slot:
        """What at most one newest token is kept for."""
        return self.owner.pod_uid, self.audience, self.expiration_s


Slot = tuple[Uid, str, int]


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it lies on disk.

    Attributes:
        want: What it was asked for as.
        text: The token; a secret. Empty for one that has a successor, of which only the digest is kept.
        digest: Its SHA-256, hex.
        came_at: When it came, seconds since the epoch by the device's clock.
        life_s: How long it is good, seconds.
        local: The device made it itself, for want of the cloud; no cloud takes it.
    """

    want: Want
    text: str
    digest: str
    came_at: float
    life_s: float
    local: bool = False


@dataclass(slots=True)
class _Known:
    token: Token
    since: float  # on the monotonic clock; before this process where the token is older

    def due_at(self) -> float:
        if self.token.local:
            return self.since
        return self.since + min(DUE_SHARE * self.token.life_s, DUE_AFTER_S)

    def ends_at(self) -> float:
        return self.since + self.token.life_s


def digest_of(text: str) -> str:
    """Return what a token is known by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class TokenLedger:
    """What is known of tokens. Times named ``now`` are monotonic seconds, ``wall`` ones seconds since the epoch."""

    def __init__(self) -> None:
        self._newest: dict[Slot, _Known] = {}
        self._by_digest: dict[str, _Known] = {}
        self._digests: dict[Slot, list[str]] = {}
        self._reachable_since: float | None = None

    def load(self, tokens: Iterable[Token], now: float, wall: float) -> None:
        """Take up what an earlier process kept, oldest first.

        How long ago a token came is judged by the wall clock; where that runs backwards, as if it had come just now
        and were due.
        """
        for token in tokens:
            age_s = wall - token.came_at
            since = now - age_s if age_s >= 0 else now - DUE_SHARE * token.life_s
            self._keep(_Known(token, since))

    def came(self, token: Token, now: float) -> None:
        """Take a token that has just come."""
        self._keep(_Known(token, now))

    def reachable(self, now: float) -> None:
        """Note that the cloud can be reached."""
        if self._reachable_since is None:
            self._reachable_since = now

    def unreachable(self) -> None:
        """Note that the cloud cannot be reached."""
        self._reachable_since = None

    @property
    def cut_off(self) -> bool:
        """Whether the cloud is out of reach."""
        return self._reachable_since is None

    def newest(self, slot: Slot) -> Token | None:
        """Return the newest token of a slot, be it due or not."""
        known = self._newest.get(slot)
        return None if known is None else known.token

    def is_due(self, slot: Slot, now: float, wall: float) -> bool:
        """Tell whether a token has to be asked for: there is none, or it should have a successor."""
        known = self._newest.get(slot)
        if known is None or now >= known.due_at():
            return True
        age_s = wall - known.token.came_at
        return age_s < 0 or age_s >= min(DUE_SHARE * known.token.life_s, DUE_AFTER_S)

    def due_at(self, slot: Slot) -> float | None:
        """Return when the slot's token is due, monotonic; None where there is none."""
        known = self._newest.get(slot)
        return None if known is None else known.due_at()

    def owner_of(self, text: str, now: float) -> Owner | None:
        """Return whose a token is, if it is good at ``now``; only tokens for the API are."""
        known = self._by_digest.get(digest_of(text))
        if known is None or known.token.want.audience:
            return None
        since = self._reachable_since
        if now < known.ends_at() or since is None or now < since + GRACE_S:
            return known.token.want.owner
        return None

    def tokens(self, pod: Uid) -> Iterator[Token]:
        """Yield what is to be kept on disk for a pod, oldest first."""
        for slot, digests in self._digests.items():
            if slot[0] == pod:
                yield from (self._by_digest[digest].token for digest in digests)

    def pods(self) -> set[Uid]:
        """Return the pods with tokens."""
        return {slot[0] for slot in self._digests}

    def forget(self, pod: Uid) -> bool:
        """Forget every token of a pod; tell whether there was one."""
        slots = [slot for slot in self._digests if slot[0] == pod]
        for slot in slots:
            for digest in self._digests.pop(slot):
                self._by_digest.pop(digest, None)
            self._newest.pop(slot, None)
        return bool(slots)

    def _keep(self, known: _Known) -> None:
        slot = known.token.want.slot
        digests = self._digests.setdefault(slot, [])
        before = self._newest.get(slot)
        if before is not None and before.token.digest != known.token.digest:
            # Its bytes are needed no more, only that it is known again.
            old = before.token
            before.token = Token(old.want, "", old.digest, old.came_at, old.life_s, old.local)
        if known.token.digest not in self._by_digest:
            digests.append(known.token.digest)
        self._by_digest[known.token.digest] = known
        self._newest[slot] = known
        while len(digests) > KEPT_DIGESTS:
            del self._by_digest[digests.pop(0)]

    def check_invariants(self) -> None:
        """Raise AssertionError where the indexes disagree."""
        listed = [digest for digests in self._digests.values() for digest in digests]
        assert sorted(listed) == sorted(self._by_digest), "digests"
        assert self._newest.keys() == self._digests.keys(), "slots"
        for slot, known in self._newest.items():
            assert self._by_digest[known.token.digest] is known, f"newest of {slot}"
