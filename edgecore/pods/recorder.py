"""Makes core/v1 Events about pods, and holds back what was said a moment ago."""

from __future__ import annotations

from typing import Final

from edgecore.pods.events import RecordEvent
from protocol.objects.keys import Body
from protocol.objects.times import timestamp

SILENCE_S: Final = 300.0
_REMEMBERED: Final = 1024
_LONGEST_NAME: Final = 253


class EventRecorder:
    """Turns :class:`RecordEvent` into Event bodies.

    The same event about the same container is made at most once in :data:`SILENCE_S`; at most 1,024 are kept in
    mind, the oldest forgotten first.

    Args:
        node_name: This node, the events' source.
    """

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self._said: dict[RecordEvent, float] = {}
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
