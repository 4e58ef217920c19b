"""What this node owes the cloud: the newest report about each object, and events in their order.

No I/O: every method returns the row changes that the owner has to commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from edgecore.meta.engine import Change, DropEvent, DropReport, EventRow, ReportRow
from protocol.objects.keys import ObjectKey, Uid
from protocol.objects.resources import POD_STATUS, PODS

EVENTS_LIMIT = 1000
"""Events kept for the cloud at most; the oldest goes first, and is counted."""

POD_FINISHED = PODS
"""A delete under this key says that the pod has stopped fully."""

Owed = ReportRow | EventRow


class Upstream:
    """Reports and events, in memory as they lie (or will lie) on disk.

    Args:
        reports: The stored reports.
        events: The stored events, oldest first.
        generation: The last generation that any earlier life of this database may have issued.

    Attributes:
        events_dropped: Events dropped for want of room in this life.
    """

    def __init__(self, reports: Iterable[ReportRow], events: Iterable[EventRow], generation: int) -> None:
        self._reports = {row.key: row for row in reports}
        self._events = {row.key: row for row in events}
        self._generation = generation
        self.events_dropped = 0

    def owed(self) -> Iterator[Owed]:
        """Yield everything the cloud has yet to acknowledge, oldest generation first."""
        owed: list[Owed] = [row for row in self._reports.values() if row.owed]
        owed += self._events.values()
        yield from sorted(owed, key=lambda row: row.generation)

    def rows(self) -> Iterator[Owed]:
        """Yield every remembered report and event."""
        yield from self._reports.values()
        yield from self._events.values()

    def get(self, key: ObjectKey) -> Owed | None:
        """Return the newest report or event under ``key``."""
        return self._reports.get(key) or self._events.get(key)

    def report(self, key: ObjectKey, uid: Uid, body: bytes) -> ReportRow | None:
        """Take a report; None where it says what the newest one says already."""
        known = self._reports.get(key)
        if known is not None and known.uid == uid and known.body == body:
            return None
        self._generation += 1
        row = ReportRow(key, uid, self._generation, body, owed=True)
        self._reports[key] = row
        return row

    def event(self, key: ObjectKey, body: bytes) -> list[Change]:
        """Take an event, making room for it if need be."""
        changes: list[Change] = []
        while len(self._events) >= EVENTS_LIMIT and key not in self._events:
            oldest = next(iter(self._events))
            del self._events[oldest]
            self.events_dropped += 1
            changes.append(DropEvent(oldest))
        self._generation += 1
        row = EventRow(key, self._generation, body)
        self._events[key] = row
        changes.append(row)
        return changes

    def settled(self, key: ObjectKey, generation: int, *, gone: bool) -> Change | None:
        """Take the cloud's answer to one generation; an answer to an older one changes nothing.

        Args:
            key: What was answered.
            generation: The generation the answer is for.
            gone: True where nothing is left to remember: the object is not held, or the answer was a refusal.
        """
        event = self._events.get(key)
        if event is not None and event.generation == generation:
            del self._events[key]
            return DropEvent(key)
        report = self._reports.get(key)
        if report is None or report.generation != generation:
            return None
        if gone:
            del self._reports[key]
            return DropReport(key)
        self._reports[key] = replace(report, owed=False)
        return self._reports[key]

    def forget_pods(self, key: ObjectKey, *, but: Uid | None) -> list[DropReport]:
        """Drop the reports about pods that have left the cloud: nobody is there to take them.

        Args:
            key: The name they had.
            but: The uid of the pod that has it now.
        """
        return self.forget([key._replace(resource=resource) for resource in (POD_STATUS, POD_FINISHED)], but=but)

    def forget(self, reports: Iterable[ObjectKey], *, but: Uid | None) -> list[DropReport]:
        """Drop reports about an object that has left the cloud.

        Args:
            reports: Their keys.
            but: The uid of the object that has its name now.
        """
        changes: list[DropReport] = []
        for about in reports:
            known = self._reports.get(about)
            if known is not None and known.uid != but:
                del self._reports[about]
                changes.append(DropReport(about))
        return changes

    def owe(self, key: ObjectKey) -> ReportRow | None:
        """Owe one remembered report again, as a generation of its own; None where there is none."""
        known = self._reports.get(key)
        if known is None:
            return None
        self._generation += 1
        self._reports[key] = replace(known, generation=self._generation, owed=True)
        return self._reports[key]

    def owe_everything(self) -> list[Change]:
        """Owe each remembered report again: the cloud's store has lost what it knew (a new incarnation)."""
        for key, row in self._reports.items():
            if not row.owed:
                self._reports[key] = replace(row, owed=True)
        return list(self._reports.values())
