from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edgecore.metrics.exposition import LONGEST_LINE, Family, Summary, SummaryReader, written


def summary(data: bytes, piece: int = 1 << 20) -> Summary:
    reader = SummaryReader()
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
    return reader.summary()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Summary()),
        ("http_requests_total 5\n", Summary(5.0)),
        ("http_requests_total 5", Summary(5.0)),
        ("http_requests_total 5 1395066363000\n", Summary(5.0)),
        ("  http_requests_total\t{ }  5\n", Summary(5.0)),
        ('http_requests_total{code="200"} 5\nhttp_requests_total{code="500"} 2\n', Summary(7.0)),
        ('http_requests_total{path="}\\" 9\\\\",a="b",} 5\n', Summary(5.0)),
        ("http_requests_total 5\nrequests_total 70\n", Summary(5.0)),  # the first in the order, not both
        ("requests_total 70\nhttp_requests_total 5\n", Summary(5.0)),
        ("http_requests_total NaN\n", Summary()),
        ("http_requests_total +Inf\nhttp_requests_total -3\nhttp_requests_total 1e300\n", Summary()),
        ("http_requests_total 1\nhttp_requests_total x\nhttp_requests_total{ 7\n", Summary(1.0)),
        ("http_requests_total_more 1\n# http_requests_total 9\nxhttp_requests_total 2\n", Summary()),
        ("gpu_utilization 70.5\n", Summary(gpu=70.5)),
        ('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\nDCGM_FI_DEV_GPU_UTIL{gpu="1"} 100\n', Summary(gpu=75.0)),
        ('{"gpu.utilization"} 40\n{"gpu.utilization",gpu="1"} 60\n', Summary(gpu=50.0)),
        ("http_requests_total 1\r\n", Summary(1.0)),
    ],
)
def test_what_is_taken_from_an_exposition(text: str, expected: Summary) -> None:
    assert summary(text.encode()) == expected
    assert summary(text.encode(), 1) == expected


def test_what_the_usual_client_library_writes_is_understood() -> None:
    registry = CollectorRegistry()
    requests = Counter("http_requests", "Requests.", ["path"], registry=registry)
    requests.labels('/"quoted"\n\\').inc(3)
    requests.labels("/").inc(4.5)
    Gauge("gpu_utilization", "Use.", registry=registry).set(12.25)
    assert summary(generate_latest(registry)) == Summary(7.5, 12.25)


def test_a_line_without_end_is_passed_over_and_not_kept() -> None:
    reader = SummaryReader()
    reader.feed(b'http_requests_total 1\nhttp_requests_total{x="')
    for _ in range(64):
        reader.feed(b"y" * 4096)
        assert len(reader._partial) <= LONGEST_LINE + 4096
    reader.feed(b'"} 5\nhttp_requests_total 2\n')
    assert reader.summary() == Summary(3.0)


@given(st.binary(), st.integers(1, 7))
def test_any_bytes_are_read_alike_in_any_pieces(data: bytes, piece: int) -> None:
    assert summary(data) == summary(data, piece)


SCRAPS = ["http_requests_total", "gpu_utilization", "{", "}", '"', "\\", " ", "\n", "5", "NaN", "a=", ",", "#", "x"]


@given(st.lists(st.sampled_from(SCRAPS)).map("".join))
def test_scraps_of_the_format_give_a_summary_of_sound_numbers(text: str) -> None:
    found = summary(text.encode())
    assert all(value is None or value >= 0 for value in (found.requests, found.gpu))
    assert summary(text.encode(), 1) == found


def test_a_hostile_line_costs_no_more_than_its_length() -> None:
    """Quadratic matching would take this test minutes."""
    for scrap in (b'{"', b'\\"', b'"', b"{", b'a="b",', b" ", b"}"):
        line = b"http_requests_total{" + scrap * (LONGEST_LINE // len(scrap) - 20)
        assert summary(b"\n".join([line[:LONGEST_LINE]] * 50)).requests in {None, 0.0}


labels = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text(st.characters(codec="utf-8")))


@given(
    labels, st.floats(allow_nan=False), st.text(st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029"))
)
def test_what_is_written_is_read_by_prometheus_own_parser(told: dict[str, str], value: float, text: str) -> None:
    told = {name: content for name, content in told.items() if "\r" not in content}
    families = [Family("a_seconds_total", text, [(told, 1.5)], "counter"), Family("b", "B.", [(told, value)])]
    counter, gauge = text_string_to_metric_families(written([*families, Family("empty", "None.", [])]))
    assert (counter.name, counter.type, gauge.name, gauge.type) == ("a_seconds", "counter", "b", "gauge")
    assert counter.samples[0].labels == gauge.samples[0].labels == told
    assert (counter.samples[0].value, gauge.samples[0].value) == (1.5, value)


def test_what_is_written_is_what_it_was() -> None:
    families = [
        Family(
            "node_network_receive_bytes_total",
            "Bytes.",
            [({"device": "eth0"}, 12), ({"device": 'q"\n\\'}, 0)],
            "counter",
        ),
        Family("node_load1", "Load\naverage.", [({}, 0.25)]),
    ]
    assert written(families) == (
        "# HELP node_network_receive_bytes_total Bytes.\n"
        "# TYPE node_network_receive_bytes_total counter\n"
        'node_network_receive_bytes_total{device="eth0"} 12\n'
        'node_network_receive_bytes_total{device="q\\"\\n\\\\"} 0\n'
        "# HELP node_load1 Load\\naverage.\n"
        "# TYPE node_load1 gauge\n"
        "node_load1 0.25\n"
    )
