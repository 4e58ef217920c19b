"""From what the store owes the cloud to items on the link, and back from verdicts to what is still owed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from edgecore.meta.engine import EventRow
from edgecore.meta.store import MetaStore
from edgecore.meta.upstream import POD_FINISHED, Owed
from protocol.errors import OutboxFull
from protocol.events import Settled
from protocol.link import Link
from protocol.messages import Item, Lane, Op
from protocol.objects.devices import DEVICE_STATUS
from protocol.objects.keys import Revision, Uid
from protocol.objects.resources import NODE_STATUS

log = structlog.get_logger("edgecore.hub")

_LANES: Final = {NODE_STATUS: Lane.LEASE, DEVICE_STATUS: Lane.TWIN}


def item_of(row: Owed) -> Item:
    """Return the item that carries ``row``; its version is the generation that the verdict will be for."""
    generation = Revision(row.generation)
    if isinstance(row, EventRow):
        return Item(Op.COMMAND, row.key, Uid(""), generation, row.body, id=row.key.name)
    op = Op.DELETE if row.key.resource == POD_FINISHED else Op.PUT
    return Item(op, row.key, row.uid, generation, row.body)


def owe(link: Link, rows: Iterable[Owed], now: float) -> None:
    """Hand ``rows`` to the link. An event it has no room for stays in the store, for the next session."""
    for row in rows:
        try:
            link.send(item_of(row), now, _LANES.get(row.key.resource))
        except OutboxFull:
            log.debug("event left for the next session", object=str(row.key))


def take_verdicts(store: MetaStore, settled: Settled) -> None:
    """Tell the store what the cloud has settled."""
    for item, verdict in zip(settled.items, settled.verdicts, strict=True):
        store.acknowledged(item.key, item.version, verdict)
