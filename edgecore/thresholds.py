"""What the node may run short of, and when that counts: the kubelet's signals and the syntax of its flags. Pure.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from protocol.objects.durations import parse_duration
from protocol.objects.quantities import whole

MEMORY_PRESSURE: Final = "MemoryPressure"
DISK_PRESSURE: Final = "DiskPressure"
PID_PRESSURE: Final = "PIDPressure"
PRESSURES: Final = (MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE)

NONE: Final = "none"
"""Stands for no thresholds at all, where an empty text would stand for what is usual."""
DEFAULT_HARD: Final = (
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,pid.available<5%"
)


class Signal(enum.Enum):
    """What is watched; the value is its name in settings. Memory comes first, as it cannot wait."""

    MEMORY = "memory.available"
    NODEFS = "nodefs.available"
    NODEFS_INODES = "nodefs.inodesFree"
    IMAGEFS = "imagefs.available"
    PIDS = "pid.available"

    @property
    def condition(self) -> str:
        """The node condition that tells of too little of it."""
        return {Signal.MEMORY: MEMORY_PRESSURE, Signal.PIDS: PID_PRESSURE}.get(self, DISK_PRESSURE)

    @property
    def resource(self) -> str:
        """What Events call it."""
        return {
            Signal.MEMORY: "memory",
            Signal.PIDS: "pids",
            Signal.NODEFS_INODES: "inodes",
        }.get(self, "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of something: a number, or a share of what there is.

    Attributes:
        value: Bytes, inodes or processes.
        share: 0 to 1; None where ``value`` counts.
    """

    value: int = 0
    share: Fraction | None = None

    def of(self, capacity: int) -> int:
        """Return the number, where there is ``capacity`` in all."""
        return self.value if self.share is None else int(self.share * capacity)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Below this the node is short of something.

    Attributes:
        signal: Of what.
        amount: Less than this is too little.
        grace_s: How long it may last before pods are ended; 0 for a hard threshold.
        soft: Whether ended pods have time to stop.
        reclaim: How much beyond ``amount`` must be free before it is enough again.
    """

    signal: Signal
    amount: Amount
    grace_s: float = 0.0
    soft: bool = False
    reclaim: Amount = field(default_factory=Amount)


@dataclass(frozen=True, slots=True)
class EvictionSettings:
    """When pods are ended for want of something.

    Attributes:
        thresholds: Hard ones and soft ones.
        max_grace_s: The most that a pod ended for a soft threshold may take to stop, seconds.
        transition_s: So long a node condition lasts after what it tells of has passed.
    """

    thresholds: tuple[Threshold, ...]
    max_grace_s: float = 0.0
    transition_s: float = 300.0


def eviction_settings(
    hard: str = DEFAULT_HARD,
    soft: str = "",
    soft_grace: str = "",
    minimum_reclaim: str = "",
    *,
    max_grace_s: float = 0.0,
    transition_s: float = 300.0,
) -> EvictionSettings:
    """Return the settings that these texts state, each in the syntax of the kubelet's flag of that name.

    Raises:
        ValueError: A text is wrong; the message is one line.
    """
    hard_at, soft_at = parse_thresholds(hard), parse_thresholds(soft)
    graces = {signal: _seconds(text) for signal, text in _statements(soft_grace, "=")}
    reclaims = {signal: parse_amount(text) for signal, text in _statements(minimum_reclaim, "=")}
    for signal in soft_at:
        if signal not in graces:
            raise ValueError(f"the soft threshold of {signal.value} needs a grace period (eviction-soft-grace-period)")
    for signal in graces:
        if signal not in soft_at:
            raise ValueError(f"a grace period for {signal.value}, which has no soft threshold (eviction-soft)")
    thresholds = [Threshold(each, at, reclaim=reclaims.get(each, Amount())) for each, at in hard_at.items()]
    thresholds += [
        Threshold(each, at, graces[each], soft=True, reclaim=reclaims.get(each, Amount()))
        for each, at in soft_at.items()
    ]
    return EvictionSettings(tuple(thresholds), max_grace_s, transition_s)


def parse_thresholds(text: str) -> dict[Signal, Amount]:
    """Return the thresholds that ``memory.available<100Mi,nodefs.available<10%`` states.

    One of 0 % or 100 % is none, as for the kubelet; the text ``none`` states none.

    Raises:
        ValueError: The text is wrong.
    """
    stated = {signal: parse_amount(amount) for signal, amount in _statements(text, "<")}
    return {signal: amount for signal, amount in stated.items() if amount.share not in (0, 1)}


def parse_amount(text: str) -> Amount:
    """Return the amount that ``100Mi`` or ``10%`` states.

    Raises:
        ValueError: The text is wrong.
    """
    if text.endswith("%"):
        number = text[:-1]
        if not number.replace(".", "", 1).isascii() or not number.replace(".", "", 1).isdigit() or len(number) > 16:
            raise ValueError(f"{text[:32]!r} is no share: it looks like 10%")
        share = Fraction(number) / 100
        if share > 1:
            raise ValueError(f"{text!r} is more than all there is")
        return Amount(share=share)
    try:
        value = whole(text)
    except ValueError:
        raise ValueError(f"{text[:32]!r} is no amount: it looks like 100Mi or 10%") from None
    if value < 0:
        raise ValueError(f"{text!r} is less than nothing")
    return Amount(value)


def _statements(text: str, operator: str) -> Iterable[tuple[Signal, str]]:
    """Return what ``text`` states of each signal."""
    if text.strip() in ("", NONE):
        return []
    found: dict[Signal, str] = {}
    for statement in text.split(","):
        name, written, amount = (part.strip() for part in statement.partition(operator))
        if not written or not amount:
            raise ValueError(f"{statement.strip()[:64]!r} does not look like memory.available{operator}AMOUNT")
        signal = _SIGNALS.get(name)
        if signal is None:
            raise ValueError(f"{name[:64]!r} is no signal of this agent: it has {', '.join(_SIGNALS)}")
        if signal in found:
            raise ValueError(f"{name} is stated twice")
        found[signal] = amount
    return found.items()


def _seconds(text: str) -> float:
    try:
        return float(parse_duration(text))
    except ValueError:
        raise ValueError(f"{text[:32]!r} is no grace period: it looks like 1m30s") from None


_SIGNALS: Final[Mapping[str, Signal]] = {signal.value: signal for signal in Signal}
