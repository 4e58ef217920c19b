from __future__ import annotations

import pytest

from protocol.errors import RemoteProtocolError
from protocol.frames import CloseCode
from protocol.gathering import InventoryGatherer
from protocol.messages import InventoryEntry
from protocol.objects.keys import ObjectKey, Revision, Uid
from protocol.settings import LinkSettings


def entries(*names: str) -> list[InventoryEntry]:
    return [InventoryEntry(ObjectKey("pods", "default", name), Uid(name), Revision(1)) for name in names]


def test_an_inventory_is_handed_out_with_its_last_chunk() -> None:
    gatherer = InventoryGatherer(LinkSettings())
    assert gatherer.add(entries("a", "b"), 10, last=False) is None
    assert gatherer.add(entries("c"), 5, last=True) == entries("a", "b", "c")


def test_an_empty_inventory_is_one() -> None:
    assert InventoryGatherer(LinkSettings()).add([], 3, last=True) == []


def test_there_is_one_inventory_in_a_session() -> None:
    gatherer = InventoryGatherer(LinkSettings())
    gatherer.add(entries("a"), 10, last=True)
    with pytest.raises(RemoteProtocolError, match="second inventory") as raised:
        gatherer.add(entries("a"), 10, last=False)
    assert raised.value.code == CloseCode.UNEXPECTED_FRAME


@pytest.mark.parametrize("settings", [LinkSettings(max_inventory=2), LinkSettings(max_inventory_bytes=19)])
def test_an_inventory_over_a_bound_is_refused(settings: LinkSettings) -> None:
    gatherer = InventoryGatherer(settings)
    gatherer.add(entries("a", "b"), 10, last=False)
    with pytest.raises(RemoteProtocolError) as raised:
        gatherer.add(entries("c"), 10, last=True)
    assert raised.value.code == CloseCode.FRAME_TOO_LARGE
