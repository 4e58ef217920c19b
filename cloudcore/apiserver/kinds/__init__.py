"""The table of kinds. A new kind is a row in one of the row files, with the hooks it needs."""

from __future__ import annotations

from cloudcore.apiserver.custom.definitions import Definitions
from cloudcore.apiserver.kinds import apps, core, edge, platform
from cloudcore.apiserver.kinds.kind import Kind, Subresource
from cloudcore.apiserver.kinds.table import KindTable

__all__ = ["Kind", "KindTable", "Subresource", "builtin_kinds"]


def builtin_kinds() -> KindTable:
    """Return the table of the kinds that are always there; definitions of custom kinds add to it."""
    table = KindTable((*core.ROWS, *apps.ROWS, *platform.ROWS, *edge.ROWS))
    Definitions(table)
    return table
