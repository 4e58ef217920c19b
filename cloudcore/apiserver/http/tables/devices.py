"""``kubectl get devicehistories``: how much of what devices reported is kept."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import NAME, Cells, Column, printer
from protocol.objects.keys import Body
from protocol.objects.resources import DEVICE_HISTORIES


@printer(
    DEVICE_HISTORIES,
    NAME,
    Column("Held", "integer", description="Reports that are kept."),
    Column("Dropped", "integer", description="Reports that were dropped for want of room."),
)
def history_cells(body: Body, now: float) -> Cells:
    """Return a DeviceHistory's row."""
    del now
    return [body["metadata"]["name"], body["status"]["held"], body["status"]["dropped"]]
