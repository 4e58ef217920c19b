"""Events expire: one hour after they were last seen, as in Kubernetes.

The age is told by the Event's own times, on the wall clock: a clock that jumps ahead loses events early, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import Conflict, NotFound
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import EVENTS
from protocol.objects.times import parse_timestamp

TTL_S = 3600.0


def plan(event: Body, now: float, ttl_s: float) -> float:
    """Return for how many seconds ``event`` may stay; zero or less: it has expired."""
    times = (
        event.get("lastTimestamp"),
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return max((parse_timestamp(text) for text in times if text), default=0.0) + ttl_s - now


class EventExpiryController:
    """Deletes expired events; keys are the events'.

    Args:
        context: What controllers work with.
        ttl_s: How long an event stays after it was last seen, seconds.
    """

    name = "event-expiry"
    workers = 1

    def __init__(self, context: Context, ttl_s: float = TTL_S) -> None:
        self._context = context
        self._ttl_s = ttl_s
        self._events = context.informers.for_resource(EVENTS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow events."""
        return (Watching(EVENTS, own_keys(EVENTS)),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Delete the event if it has expired and was not seen again meanwhile."""
        event = self._events.get(key)
        if event is None:
            return DONE
        left_s = plan(event, self._context.clock.wall(), self._ttl_s)
        if left_s > 0:
            return RequeueAfter(left_s)
        metadata = event["metadata"]
        revision = Revision(int(metadata["resourceVersion"]))
        try:
            await self._context.client.delete(
                EVENTS, key.namespace, key.name, uid=Uid(metadata["uid"]), revision=revision
            )
        except (NotFound, Conflict):
            return DONE
        return DONE
