"""What happens when in one run of the fault lab: worked out from the seed alone, before anything is started."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from tests.support.impairments import Impairment
from tests.support.netlab import FINE, Weather

CLOUD = "cloud"


class Kind(enum.StrEnum):
    """What can happen."""

    WEATHER = "weather"
    """A link is bad for a while."""
    KILL = "kill"
    """SIGKILL, and a new process at once."""
    PAUSE = "pause"
    """SIGSTOP, and SIGCONT after a while."""
    FULL_DISK = "full disk"
    """The data folder's disk is full for a while."""
    CLOCK = "clock step"
    """The wall clock is set, and set right after a while."""
    RESTORE = "restore"
    """The cloud is backed up, and the backup put in its place after a while."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens.

    Attributes:
        at_s: When it begins, seconds from the start of the faults.
        kind: What.
        target: A node, or ``cloud``.
        for_s: How long it lasts; 0 for what has no duration.
        name: What people call it.
        weather: Of a WEATHER: what the link is like.
        step_s: Of a CLOCK: by how much the clock is off.
    """

    at_s: float
    kind: Kind
    target: str
    for_s: float = 0.0
    name: str = ""
    weather: Weather = FINE
    step_s: float = 0.0

    def __str__(self) -> str:
        extra = f" {self.name}" if self.name else ""
        extra += f" {self.step_s:+.0f} s" if self.step_s else ""
        return f"{self.at_s:6.2f} s  {self.target:<8} {self.kind}{extra}" + (f", {self.for_s:.1f} s" * bool(self.for_s))

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "weather": self.weather.plain()}


@dataclass(frozen=True, slots=True)
class Scope:
    """How much happens.

    Attributes:
        faults_s: For how long faults begin.
        stretch: Factor on how long pauses and silences last: 1 in CI; at 5 a daemon stands still for up to 40 s.
    """

    faults_s: float = 24.0
    stretch: float = 1.0


def plan(seed: int, edges: Sequence[str], scope: Scope) -> list[Fault]:
    """Return what happens to a cloud and ``edges``, in order of time. Each kind of fault happens at least once."""
    rng = Random(seed)
    faults = [*_strikes(rng, edges, scope)]
    for edge in edges:
        faults += _weather(Random(rng.random()), edge, scope)
    return sorted(faults, key=lambda fault: fault.at_s)


def _strikes(rng: Random, edges: Sequence[str], scope: Scope) -> Iterator[Fault]:
    """Yield what happens to daemons and their disks and clocks."""
    anyone = (CLOUD, *edges)
    due = [(Kind.KILL, CLOUD), (Kind.KILL, rng.choice(edges)), (Kind.PAUSE, CLOUD), (Kind.PAUSE, rng.choice(edges))]
    due += [(Kind.FULL_DISK, CLOUD), (Kind.FULL_DISK, rng.choice(edges)), (Kind.CLOCK, rng.choice(anyone))]
    others = (Kind.KILL, Kind.KILL, Kind.PAUSE, Kind.FULL_DISK, Kind.CLOCK)
    due += [(rng.choice(others), rng.choice(anyone)) for _ in range(int(scope.faults_s / 8))]
    # One restore a run: what it rolls back would hide what a second one does.
    due.append((Kind.RESTORE, CLOUD))
    rng.shuffle(due)
    for kind, target in due:
        yield _strike(rng, kind, target, scope)


def _strike(rng: Random, kind: Kind, target: str, scope: Scope) -> Fault:
    at_s = rng.uniform(0.0, scope.faults_s)
    if kind is Kind.KILL:
        return Fault(at_s, kind, target)
    if kind is Kind.PAUSE:
        return Fault(at_s, kind, target, rng.uniform(1.0, 8.0) * scope.stretch)
    if kind is Kind.FULL_DISK:
        return Fault(at_s, kind, target, rng.uniform(1.0, 6.0) * scope.stretch)
    if kind is Kind.CLOCK:
        step_s = rng.choice((-1, 1)) * rng.choice((2.0, 90.0, 3600.0, 86400.0))
        return Fault(at_s, kind, target, rng.uniform(2.0, 8.0) * scope.stretch, step_s=step_s)
    back_s = rng.uniform(0.3, 0.6) * scope.faults_s
    return Fault(rng.uniform(0.1, 0.4) * scope.faults_s, kind, target, back_s)


def _weather(rng: Random, edge: str, scope: Scope) -> Iterator[Fault]:
    """Yield one spell of weather after the other, with fine spells between."""
    at_s = rng.uniform(0.0, 2.0)
    while at_s < scope.faults_s:
        name = rng.choice(tuple(_WEATHERS))
        for_s = rng.uniform(2.0, 7.0)
        if name in _SILENCES:
            for_s = rng.choice((1.0, 3.0)) * for_s * scope.stretch  # at times longer than a link waits for its peer
        for_s = min(for_s, max(1.0, scope.faults_s + 6.0 - at_s))
        yield Fault(at_s, Kind.WEATHER, edge, for_s, name, _WEATHERS[name](rng))
        at_s += for_s + (rng.uniform(1.0, 4.0) if rng.random() < 0.4 else 0.0)


def _both(how: Impairment) -> Weather:
    return Weather(how, how)


_WEATHERS = {
    "far": lambda rng: _both(Impairment(delay_s=rng.uniform(0.05, 0.3), jitter_s=rng.uniform(0.0, 0.1))),
    "lossy": lambda rng: _both(Impairment(loss=rng.uniform(0.02, 0.2), delay_s=rng.uniform(0.0, 0.05))),
    "disorderly": lambda rng: _both(Impairment(delay_s=0.02, reorder=rng.uniform(0.05, 0.4), duplicate=0.1)),
    "thin": lambda rng: _both(Impairment(rate_bit_s=64_000, delay_s=0.03, queue_bytes=rng.choice((8, 32)) * 1024)),
    "thin upwards": lambda rng: Weather(up=Impairment(rate_bit_s=64_000, queue_bytes=rng.choice((8, 32)) * 1024)),
    "awful": lambda rng: _both(
        Impairment(0.3, 0.1, loss=rng.uniform(0.05, 0.2), duplicate=0.05, reorder=0.1, rate_bit_s=64_000)
    ),
    "cut": lambda rng: _both(Impairment(blocked=True)),
    "half-open, nothing comes down": lambda rng: Weather(down=Impairment(blocked=True)),
    "half-open, nothing goes up": lambda rng: Weather(up=Impairment(blocked=True)),
    "reset": lambda rng: Weather(reject=True),
}
_SILENCES = ("cut", "half-open, nothing comes down", "half-open, nothing goes up")
