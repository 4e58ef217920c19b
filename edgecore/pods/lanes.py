"""One lane per pod: instructions about a pod are carried out in their order, those of different pods side by side.

Concurrency: a lane is a task that exists while there is something to do; all are children of the task group given to
:meth:`Lanes.open`. A lane's queue is bounded by what the machine can ask for before it is answered; of several
statuses waiting in it the newest is reported.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from edgecore.pods.events import Instruction, ReportStatus, RunHook, RunProbe, SignalContainer, StartContainer
from protocol.objects.keys import Uid


class Lanes:
    """Queues and tasks, by pod.

    Args:
        perform: Carries out one instruction; it must not raise.
        ended: Called when a lane has nothing more to do.
    """

    def __init__(self, perform: Callable[[Instruction], Awaitable[None]], ended: Callable[[], None]) -> None:
        self._perform = perform
        self._ended = ended
        self._tasks: asyncio.TaskGroup | None = None
        self._waiting: dict[Uid, deque[Instruction]] = {}
        self._lanes: dict[Uid, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many lanes have something to do."""
        return len(self._lanes)

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Run lanes in ``tasks`` from now on."""
        self._tasks = tasks

    def close(self) -> None:
        """Take instructions only for lanes that run. Idempotent."""
        self._tasks = None

    def cancel(self) -> None:
        """Break off what is being done."""
        for task in self._lanes.values():
            task.cancel()

    def add(self, instruction: Instruction) -> None:
        """Have ``instruction`` carried out after those about the same pod; dropped while there is no task group."""
        uid = _uid_of(instruction)
        lane = self._waiting.get(uid)
        if lane is not None:
            lane.append(instruction)
        elif self._tasks is not None:
            self._waiting[uid] = lane = deque([instruction])
            self._lanes[uid] = self._tasks.create_task(self._serve(uid, lane), name=f"pod-lane:{uid}")

    async def _serve(self, uid: Uid, lane: deque[Instruction]) -> None:
        try:
            while lane:
                instruction = lane.popleft()
                if not (isinstance(instruction, ReportStatus) and any(isinstance(i, ReportStatus) for i in lane)):
                    await self._perform(instruction)
        finally:
            del self._waiting[uid], self._lanes[uid]
            self._ended()


def _uid_of(instruction: Instruction) -> Uid:
    if isinstance(instruction, StartContainer | SignalContainer | RunProbe | RunHook):
        return instruction.container.pod
    return instruction.uid
