"""Makes core/v1 Events about pods, and holds back what was said a moment ago."""

from __future__ import annotations

from typing import Final

from edgecore.pods.events import RecordEvent
from protocol.objects.keys import Body, Uid
from protocol.objects.times import timestamp

SILENCE_S: Final = 300.0
BURST: Final = 25
REFILL_S: Final = 300.0
"""Of one kind so many events are made at once, and after that one per so many seconds, as in Kubernetes' clients: a
probe whose message is another each time would else fill a thin link."""
_REMEMBERED: Final = 1024
_LONGEST_NAME: Final = 253


class EventRecorder:
    """Turns :class:`RecordEvent` into Event bodies.

    The same event about the same container is made at most once in :data:`SILENCE_S`, and for one reason about one pod
    no more than :data:`BURST` and :data:`REFILL_S` allow, so that what is noisy does not silence what is rare. At most
    1,024 of each are kept in mind, the oldest forgotten first.

    Args:
        node_name: This node, the events' source.
    """

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self._said: dict[RecordEvent, float] = {}
        self._allowed: dict[tuple[Uid, str], tuple[float, float]] = {}
        self._serial = 0

    def body(self, event: RecordEvent, pod: Body, wall: float) -> Body | None:
        """Return the Event to report, or None when it was said a moment ago.

        Args:
            event: What happened.
            pod: The pod it is about.
            wall: Seconds since the epoch.
        """
        said_at = self._said.get(event)
        if said_at is not None and wall - said_at < SILENCE_S:
            return None
        if not self._allow((event.uid, event.reason), wall):
            return None
        self._said.pop(event, None)  # So that it becomes the newest.
        self._said[event] = wall
        if len(self._said) > _REMEMBERED:
            del self._said[next(iter(self._said))]
        metadata = pod["metadata"]
        at = timestamp(wall)
        involved = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": event.uid}
        involved["namespace"] = metadata.get("namespace", "")
        if event.container:
            involved["fieldPath"] = f"spec.containers{{{event.container}}}"
        # Events of one instant still need names of their own.
        self._serial = (self._serial + 1) & 0xFFFF
        serial = f"{int(wall * 1_000_000):x}{self._serial:04x}"
        name = f"{metadata['name'][: _LONGEST_NAME - len(serial) - 1].rstrip('-.')}.{serial}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata.get("namespace", "")},
            "involvedObject": involved,
            "reason": event.reason,
            "message": event.message,
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": "edgecore", "host": self._node_name},
            "reportingComponent": "edgecore",
            "reportingInstance": self._node_name,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }

    def _allow(self, kind: tuple[Uid, str], wall: float) -> bool:
        """Take one event from the allowance of its kind; tell whether there was one."""
        tokens, since = self._allowed.pop(kind, (float(BURST), wall))
        tokens = min(tokens + max(wall - since, 0.0) / REFILL_S, BURST)
        allowed = tokens >= 1
        self._allowed[kind] = (tokens - allowed, wall)
        if len(self._allowed) > _REMEMBERED:
            del self._allowed[next(iter(self._allowed))]
        return allowed
