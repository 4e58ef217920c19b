"""Rows as a damaged meta database may give them. What passes for sound, the store can use; nothing may come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgpack

from edgecore.meta.engine import EventRow, ObjectRow, ReportRow, SettledRow, Snapshot
from edgecore.meta.memory import MemoryDisk, MemoryEngine
from edgecore.meta.soundness import unsound
from edgecore.meta.store import MetaStore
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid

FACTS: Final = ("life", "epoch", "line", "incarnation", "complete")
RESOURCES: Final = ("pods", "configmaps", "nodes", "secrets")


class Damaged(MemoryEngine):
    """An engine that holds what it is told to."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(MemoryDisk())
        self._snapshot = snapshot

    def load(self) -> Snapshot:
        """Return the damaged rows."""
        return self._snapshot


def one_input(data: bytes) -> None:
    """Take ``data`` as facts, and as the body of a row of each table."""
    facts_part, _, body = data.partition(b"\xff\xff")
    facts = dict(zip(FACTS, facts_part.decode(errors="replace").split("\n"), strict=False))
    key = ObjectKey(RESOURCES[len(body) % 4], "default", "web")
    snapshot = Snapshot(
        (ObjectRow(key, Uid("u"), Revision(1), body, 0),),
        (ReportRow(ObjectKey("pods/status", "default", "web"), Uid("u"), 1, body, True),),
        (EventRow(ObjectKey("events", "default", "web.1"), 2, body),),
        (SettledRow("id", "", ""),),
        facts,
        False,
    )
    if unsound(snapshot) is None:
        reads(MetaStore(Damaged(snapshot), NodeName("edge-1")), key)


def reads(store: MetaStore, key: ObjectKey) -> Any:
    """Read it as its users do."""
    store.get(key)
    for resource in RESOURCES:
        store.list(resource)
    store.last_node_status()
    return list(store.inventory()), store.owed(), store.digest


def seeds() -> Iterable[bytes]:
    """Return facts and bodies, good and bad."""
    pod = msgpack.packb({"metadata": {"name": "web", "namespace": "default", "uid": "u"}, "spec": {}})
    status = msgpack.packb({"status": {"phase": "Running"}})
    yield b"1\n5\n0\ninc\nyes\xff\xff" + pod
    yield b"1\n5\n0\ninc\nyes\xff\xff" + status
    yield b"1\n5\n0\ninc\nyes\xff\xff" + msgpack.packb({"status": {}, "metadata": {"name": [1]}})
    yield b"x\ny\nz\xff\xff\xc1"
