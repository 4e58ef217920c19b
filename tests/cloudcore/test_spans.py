"""Spans, as a collector receives them over OTLP/HTTP."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import structlog

from cloudcore import spans
from cloudcore.clock import SystemClock
from cloudcore.hub.tracing import NodeTrace, Tracing, VersionTrace
from cloudcore.spans import ENVIRONMENT, SpanSender, endpoint_of, send_spans
from protocol.errors import UsageError
from protocol.messages import Op
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from tests.support.collectors import collector
from tests.support.waiting import eventually

EPOCH = 1_790_000_000.0


def a_version(*nodes: NodeTrace, committed_at: float | None = 1.0) -> VersionTrace:
    key = ObjectKey("pods", "default", "web")
    version = VersionTrace(1, key, Uid("uid-1"), Revision(7), Op.PUT, 1.0, committed_at, sampled=False)
    version.nodes = {node.node: node for node in nodes}
    return version


def a_node(name: str = "edge-1", **changed: Any) -> NodeTrace:
    times = {"sent_at": 1.2, "received_at": 1.3, "applied_at": 1.35, "acked_at": 1.5, "uncertainty_s": 0.05}
    return NodeTrace(NodeName(name), 1.1, sends=1, **{"outcome": "applied", **times, **changed})


def received(version: VersionTrace) -> dict[str, Any]:
    """Send one version and return the spans that arrive, by name."""
    with collector() as running:
        sender = SpanSender(running.url + "/v1/traces", "1.0", lambda at: EPOCH + at)
        sender.take(version)
        sender.close()
        return {span.name: span for span in running.spans()}


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value for each in span.attributes}


def test_a_version_is_one_trace_from_commit_to_ack() -> None:
    found = received(a_version(a_node()))
    assert found.keys() == {"put pods", "commit", "node", "dispatch", "delivery", "apply", "ack"}
    root, node = found["put pods"], found["node"]
    assert len({span.trace_id for span in found.values()}) == 1
    assert not root.parent_span_id
    assert {found["commit"].parent_span_id, node.parent_span_id} == {root.span_id}
    assert {found[name].parent_span_id for name in ("dispatch", "delivery", "apply", "ack")} == {node.span_id}
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == tuple(round((EPOCH + at) * 1e9) for at in (1.0, 1.5))
    assert found["apply"].end_time_unix_nano == found["ack"].start_time_unix_nano
    shown = attributes(root)
    assert (shown["k8s.namespace.name"], shown["k8s.pod.name"], shown["k8s.pod.uid"]) == ("default", "web", "uid-1")
    assert attributes(node)["k8s.node.name"] == "edge-1"


def test_what_a_node_did_not_tell_is_not_made_up() -> None:
    found = received(a_version(a_node(received_at=None, applied_at=None, uncertainty_s=None)))
    assert found.keys() == {"put pods", "commit", "node", "dispatch", "delivery"}
    assert found["delivery"].end_time_unix_nano == round((EPOCH + 1.5) * 1e9)


def test_a_rejection_is_an_error() -> None:
    found = received(a_version(a_node(outcome="rejected", reason="Invalid: no"), committed_at=None))
    assert (found["node"].status.code, found["node"].status.message) == (2, "Invalid: no")
    assert "commit" not in found


def test_a_collector_that_fails_costs_its_spans_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "TIMEOUT_S", 0.2)
    with collector(status=400) as running, structlog.testing.capture_logs() as logged:
        sender = SpanSender(running.url + "/v1/traces", "1.0", lambda at: EPOCH + at, send_every_s=0.01)
        sender.take(a_version(a_node()))
        eventually(lambda: running.posts >= 1, what="the first attempt")
        sender.take(a_version(a_node()))
        sender.close()
        assert running.posts >= 2
    complaints = [line for line in logged if line["event"] == "traces not sent"]
    assert len(complaints) == 1


def test_what_is_still_under_way_is_sent_at_the_end() -> None:
    tracing = Tracing()
    with collector() as running:
        sender = send_spans(tracing, running.url, SystemClock())
        assert sender is not None
        version = a_version(a_node(outcome="", acked_at=None, received_at=None, applied_at=None))
        tracing.recent[1] = version
        sender.close()
        assert {span.name for span in running.spans()} == {"put pods", "commit", "node", "dispatch"}
        assert version.exported


def test_the_path_is_added_unless_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert endpoint_of("http://c:4318/") == endpoint_of("http://c:4318/v1/traces") == "http://c:4318/v1/traces"
    assert endpoint_of("") == ""
    monkeypatch.setenv(ENVIRONMENT, "http://other:4318")
    assert endpoint_of("") == "http://other:4318/v1/traces"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install 'aiokubeedge\[cloud,otel\]'"):
        endpoint_of("http://c:4318")
    monkeypatch.setenv(ENVIRONMENT, "http://c:4318")
    assert endpoint_of("") == ""  # set for others on this machine, perhaps: a warning, not the end


def test_an_environment_that_names_no_place_to_send_to_is_told_once_and_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "collector:4318")
    with structlog.testing.capture_logs() as logged:
        assert not endpoint_of("")
    assert [(line["event"], line["endpoint"]) for line in logged] == [("traces are not sent", "collector:4318")]
