from __future__ import annotations

import msgpack
import pytest

from edgecore.meta import batch
from edgecore.meta.batch import Batch
from edgecore.meta.slice import Slice
from protocol.messages import APPLIED, Item
from tests.support.links import delete, put


def pod(name: str, version: int) -> Item:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return put(name, version, body=msgpack.packb({"metadata": metadata}))


def test_a_node_holds_no_more_objects_than_an_inventory_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SLICE_LIMIT_OBJECTS", 2)
    judging = Batch(Slice(), {}, line=1, may_complete=True)
    assert [judging.judge(pod(name, 1)) for name in ("a", "b")] == [APPLIED, APPLIED]
    assert judging.judge(pod("c", 2)).code == "SliceFull"
    assert judging.judge(pod("a", 3)) == APPLIED, "a newer version takes no more room"
    assert judging.judge(delete("b", 4)) == APPLIED
    assert judging.judge(pod("c", 5)) == APPLIED
