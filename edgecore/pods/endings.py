"""How one container instance is brought to its end: its preStop hook, then its stop signal, then a kill. Pure.

The functions note on the container what is under way and return what is to be done. Times are monotonic, seconds.
"""

from __future__ import annotations

from typing import Final

from edgecore.pods.containers import Container, Phase, Stimulus
from edgecore.pods.events import Instruction, RecordEvent, RunHook, SignalContainer
from edgecore.pods.lifecycles import LAST_MOMENT_S, Hook
from protocol.objects.keys import Uid

SIGKILL: Final = 9
KILL_AGAIN_S: Final = 10.0
"""A kill that shows no effect is repeated: the request may have been lost with a supervisor."""


def stop(container: Container, *, kill_at: float, now: float, why: str) -> list[Instruction]:
    """Have the current instance end, or end sooner.

    Args:
        container: The container.
        kill_at: When its grace period ends.
        now: The current moment.
        why: For the Event.
    """
    if container.phase is Phase.STOPPING and container.kill_at is not None:
        container.kill_at = max(min(container.kill_at, kill_at), container.kill_floor)
    if container.phase is not Phase.RUNNING:
        return []
    container.move(Stimulus.STOP)
    container.kill_at, container.hook = kill_at, None
    killing = RecordEvent(Uid(container.pod), False, "Killing", why, container.name)
    action = container.lifecycle.pre_stop
    if action and kill_at > now:
        container.hook = Hook.PRE_STOP
        return [killing, RunHook(container.id, Hook.PRE_STOP, action, kill_at - now)]
    return [killing, SignalContainer(container.id, container.lifecycle.stop_signal)]


def terminate(container: Container, now: float) -> list[Instruction]:
    """Go on from the preStop hook to the stop signal, which is left a moment to have its effect."""
    container.hook = None
    container.kill_floor = now + LAST_MOMENT_S
    container.kill_at = max(container.kill_at or now, container.kill_floor)
    return [SignalContainer(container.id, container.lifecycle.stop_signal)]


def kill_overdue(container: Container, now: float) -> list[Instruction]:
    """Go on to the next means where the current instance has used up its grace period."""
    if container.kill_at is None or now < container.kill_at:
        return []
    if container.hook is Hook.PRE_STOP:
        message = "PreStopHook failed: it did not end within the grace period"
        overdue = RecordEvent(Uid(container.pod), True, "FailedPreStopHook", message, container.name)
        return [overdue, *terminate(container, now)]
    container.kill_at = container.kill_floor = now + KILL_AGAIN_S
    return [SignalContainer(container.id, SIGKILL)]
