"""What is remembered of pods whose notes a power cut has taken: their statuses as they were last reported. Pure.

Notes of pods that go on are not synced one by one, reports are: a pod so keeps its start time, and with it its
deadline, and the times of its conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edgecore.pods.events import Remembered
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import PODS

StatusOf = Callable[[ObjectKey, Uid], Body]
"""Returns the status last reported of a pod; empty where none was."""
_GRACE_S: Final = 30.0


def recall(notes: Mapping[Uid, Remembered], pods: Iterable[Body], status_of: StatusOf) -> dict[Uid, Remembered]:
    """Return ``notes``, and for each of ``pods`` whose note tells nothing what was last reported of it.

    Args:
        notes: What could be read, by uid; one that could not be read has no status.
        pods: The pods that are wanted.
        status_of: What was reported.
    """
    found = dict(notes)
    for pod in pods:
        uid, metadata = Uid(pod["metadata"]["uid"]), pod["metadata"]
        note = found.get(uid)
        if note is not None and note.status:
            continue
        key = ObjectKey(PODS, metadata.get("namespace", ""), metadata["name"])
        status = status_of(key, uid)
        if status:
            grace_s = float(pod["spec"].get("terminationGracePeriodSeconds", _GRACE_S))
            found[uid] = Remembered(key.namespace, key.name, grace_s, status)
    return found
