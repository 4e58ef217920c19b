"""What `cloudcore trace` asks, and what a person reads of it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cloudcore.timeline import NothingRecorded, key_of, latest, timeline
from protocol.errors import UsageError
from protocol.objects.keys import Body, ObjectKey

KEY = ObjectKey("configmaps", "default", "web")


def at(ms: int) -> str:
    return f"2026-11-23T12:00:00.{ms:03}000Z"


def node(name: str = "edge-1", **changed: Any) -> Body:
    times = {"dispatched": at(1), "sent": at(2), "received": at(12), "applied": at(14), "acknowledged": at(24)}
    return {"node": name, "outcome": "applied", "sends": 1, "uncertaintySeconds": 0.01, **times, **changed}


def version(*nodes: Body, **changed: Any) -> Body:
    return {"version": "7", "uid": "u", "operation": "put", "committed": at(0), "nodes": list(nodes), **changed}


def shown(*versions: Body) -> str:
    out = StringIO()
    Console(file=out, width=200).print(timeline(KEY, versions))
    return out.getvalue()


@pytest.mark.parametrize("word", ["configmap", "configmaps", "cm", "CM", "ConfigMap"])
def test_a_kind_may_be_written_as_kubectl_takes_it(word: str) -> None:
    assert key_of(f"{word}/web", "default") == KEY


def test_a_kind_without_a_namespace_has_none() -> None:
    assert key_of("node/edge-1", "default") == ObjectKey("nodes", "", "edge-1")


@pytest.mark.parametrize(
    ("reference", "words"),
    [("web", "write KIND/NAME"), ("cm/", "write KIND/NAME"), ("widget/web", "no kind"), ("job/web", "do not travel")],
)
def test_what_cannot_be_followed_is_wrong_use(reference: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        key_of(reference, "default")


def test_a_row_per_node_counts_from_the_commit() -> None:
    text = shown(version(node(), node("edge-2", received=None, applied=None, uncertaintySeconds=None)))
    first, second = [line.split() for line in text.splitlines() if line.startswith("edge-")]
    times = ["+1.0", "ms", "+2.0", "ms", "~12.0", "ms", "~14.0", "ms", "+24.0", "ms"]
    assert first == ["edge-1", *times, "applied"]
    assert second == ["edge-2", *times[:4], "unknown", "unknown", *times[8:], "applied"]
    assert "off by 10.0 ms at most" in text
    assert "configmaps default/web, version 7, put, committed 2026-11-23T12:00:00.000000Z" in text


def test_what_has_not_happened_is_a_dash_and_what_went_wrong_is_said() -> None:
    away = node(sent=None, received=None, applied=None, acknowledged=None, outcome="pending", sends=0)
    refused = node("edge-2", outcome="rejected", reason="Invalid: no", sends=3, putOff=2)
    text = shown(version(away, refused, moreNodes=9))
    assert text.splitlines()[2].split() == ["edge-1", "+1.0", "ms", "-", "-", "-", "-", "pending"]
    assert "rejected, sent 3 times, put off 2 times (Invalid: no)" in text
    assert "… and 9 more nodes" in text


class Api:
    """A client that lists what it was given."""

    def __init__(self, *traces: Body) -> None:
        self.traces = list(traces)

    async def list(self, resource: str) -> list[Body]:
        assert resource == "objecttraces.edge.aiokubeedge.io"
        return self.traces


def trace_of(*versions: Body, name: str = "web") -> Body:
    spec = {"resource": "configmaps", "namespace": "default", "name": name}
    return {"spec": spec, "status": {"versions": list(versions)}}


async def test_the_latest_is_the_one_committed_last() -> None:
    older, newer = version(node(), version="7"), version(node("edge-2"), version="9", committed=at(500))
    api: Any = Api(trace_of(newer), trace_of(older), trace_of(version(node(), committed=at(900)), name="other"))
    assert await latest(api, KEY, "") == [newer]
    assert await latest(api, KEY, "edge-1") == [older]
    with pytest.raises(NothingRecorded, match="for edge-3"):
        await latest(api, KEY, "edge-3")
