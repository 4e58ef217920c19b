from __future__ import annotations

import pytest

from protocol.urls import fault_of_url


@pytest.mark.parametrize("url", ["http://127.0.0.1:4318", "https://[::1]:6443/prefix", "https://cluster.example"])
def test_where_requests_can_go_has_no_fault(url: str) -> None:
    assert fault_of_url(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "garbage",
        "127.0.0.1:4318",
        "localhost:4318",
        "http://",
        "ftp://host",
        "http://a b",
        "http://host:99999",
        "http://host:0",
        "http://host:port",
        "http://[::1",
    ],
)
def test_what_is_no_place_to_send_requests_to_is_told(url: str) -> None:
    fault = fault_of_url(url)
    assert fault is not None
    assert "\n" not in fault
