"""When a container instance is probed, and what its results amount to: startup, liveness and readiness. Sans-IO.

The rules are the kubelet's (``k8s.io/kubernetes/pkg/kubelet/prober``):

* While a startup probe has not succeeded, the others wait, and the container is neither started nor ready.
* A result counts once it has come as often in a row as its threshold says. Until then what was so stays so.
* Before its first success a readiness probe says no. Liveness and startup speak only by failing.
* A probe that could not be carried out (:attr:`Outcome.UNKNOWN`) is as if it had not been.
* Results belong to an instance: the next one begins anew. One that has failed is not probed again.

Other than the kubelet, which forgets readiness when it is restarted, what an earlier agent knew of an instance holds
until the first result; and the first probes after a restart are spread over their periods, so that the probes of a
whole device do not come at once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body

SHORTEST_PERIOD_S: Final = 1.0


class ProbeKind(enum.Enum):
    """What a probe is asked for; the value is how Events name it."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


class Outcome(enum.Enum):
    """How one probe went."""

    SUCCESS = "as it should"
    WARNING = "as it should, with something to be said of it"
    FAILURE = "not as it should"
    UNKNOWN = "it could not be carried out"


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe of a container, as its pod states it.

    Attributes:
        kind: What it is for.
        action: The probe's body, which holds one of ``exec``, ``httpGet``, ``tcpSocket`` and ``grpc``.
        initial_delay_s: From the instance's start to the first probe.
        period_s: From one probe to the next.
        timeout_s: A probe that takes longer has failed.
        success_threshold: Successes in a row that count.
        failure_threshold: Failures in a row that count.
        grace_s: How long an instance that failed it may take to stop; None leaves it to the pod.
    """

    kind: ProbeKind
    action: Body
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_s: float | None = None


def probes_of(container: Body) -> tuple[ProbeSpec, ...]:
    """Return the probes that a container states, with Kubernetes' defaults where it leaves something out."""
    stated = ((kind, container.get(f"{kind.value.lower()}Probe")) for kind in ProbeKind)
    return tuple(_spec(kind, body) for kind, body in stated if body)


def _spec(kind: ProbeKind, body: Body) -> ProbeSpec:
    grace = body.get("terminationGracePeriodSeconds")
    return ProbeSpec(
        kind,
        body,
        initial_delay_s=float(body.get("initialDelaySeconds") or 0),
        period_s=max(float(body.get("periodSeconds") or 10), SHORTEST_PERIOD_S),
        timeout_s=max(float(body.get("timeoutSeconds") or 1), 1.0),
        success_threshold=max(int(body.get("successThreshold") or 1), 1),
        failure_threshold=max(int(body.get("failureThreshold") or 3), 1),
        grace_s=None if grace is None or kind is ProbeKind.READINESS else max(float(grace), 0.0),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier agent knew of an instance."""

    started: bool = False
    ready: bool = False


@dataclass(slots=True)
class _Series:
    """The results of one probe so far."""

    spec: ProbeSpec
    due_at: float
    in_flight: bool = False
    succeeded: bool = False
    in_a_row: int = 0

    def count(self, success: bool) -> bool:
        """Take a result; tell whether it counts."""
        self.in_a_row = self.in_a_row + 1 if success == self.succeeded else 1
        self.succeeded = success
        return self.in_a_row >= (self.spec.success_threshold if success else self.spec.failure_threshold)


class Probes:
    """The probes of one container instance, from its start to its end. Times are monotonic, seconds.

    Args:
        specs: What is probed; may be empty.
        began_at: When the instance began.
        now: The current moment.
        known: For an instance taken over from an earlier agent, what that knew.
        rng: Spreads the first probes of such instances.
    """

    def __init__(
        self, specs: tuple[ProbeSpec, ...], *, began_at: float, now: float, known: Known | None, rng: Random
    ) -> None:
        self._began_at = began_at
        self._failed: ProbeSpec | None = None
        self._series = {spec.kind: _Series(spec, self._first_at(spec, now, known, rng)) for spec in specs}
        self._started = ProbeKind.STARTUP not in self._series or (known is not None and known.started)
        self._ready = ProbeKind.READINESS not in self._series or (known is not None and known.ready)

    def _first_at(self, spec: ProbeSpec, now: float, known: Known | None, rng: Random) -> float:
        at = max(self._began_at + spec.initial_delay_s, now)
        return at if known is None else at + rng.random() * spec.period_s

    @property
    def started(self) -> bool:
        """Whether the instance has come up, as far as probes say."""
        return self._started

    @property
    def ready(self) -> bool:
        """Whether the instance can be given work, as far as probes say."""
        return self._started and self._ready

    @property
    def failed(self) -> ProbeSpec | None:
        """The liveness or startup probe that the instance has failed, for which it is to be stopped."""
        return self._failed

    def due(self, now: float) -> list[ProbeSpec]:
        """Return what is to be probed now; each is answered by :meth:`note` before it is due again."""
        out = []
        for series in self._active():
            if now >= series.due_at:
                series.in_flight = True
                series.due_at = now + series.spec.period_s
                out.append(series.spec)
        return out

    def next_at(self) -> float | None:
        """Return when :meth:`due` has something to say, if no result comes before."""
        return min((series.due_at for series in self._active()), default=None)

    def note(self, kind: ProbeKind, outcome: Outcome, now: float) -> None:
        """Take the result of a probe that was due."""
        series = self._series.get(kind)
        if series is None or not series.in_flight:
            return
        series.in_flight = False
        if outcome is Outcome.UNKNOWN or not self._turn(kind):
            return
        success = outcome is not Outcome.FAILURE
        if not series.count(success):
            return
        if kind is ProbeKind.READINESS:
            self._ready = success
        elif not success:
            self._failed = series.spec
        elif kind is ProbeKind.STARTUP:
            self._start(now)

    def _start(self, now: float) -> None:
        self._started = True
        for series in self._series.values():
            series.due_at = max(self._began_at + series.spec.initial_delay_s, now)

    def _turn(self, kind: ProbeKind) -> bool:
        """Tell whether the probe has a say at present."""
        return self._failed is None and (kind is ProbeKind.STARTUP) != self._started

    def _active(self) -> Iterator[_Series]:
        return (series for kind, series in self._series.items() if self._turn(kind) and not series.in_flight)

    def check_invariants(self) -> None:
        """Raise :class:`LocalProtocolError` if this state should be impossible."""
        if self._failed is not None and self._failed.kind is ProbeKind.READINESS:
            raise LocalProtocolError("an instance is to be stopped for not being ready")
        if self.ready and not self._started:
            raise LocalProtocolError("an instance is ready before it has started")
        for series in self._series.values():
            limit = series.spec.success_threshold if series.succeeded else series.spec.failure_threshold
            if series.spec is not self._failed and not series.succeeded and series.spec.kind is not ProbeKind.READINESS:
                if series.in_a_row >= limit:
                    raise LocalProtocolError(f"a failed {series.spec.kind.value} probe has no consequence")
