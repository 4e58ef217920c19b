from __future__ import annotations

import pytest

from protocol.urls import fault_of_host, fault_of_url


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


@pytest.mark.parametrize(
    "host",
    ["localhost", "cloud.example", "Edge-7", "compose_cloud_1", "192.0.2.7", "2001:db8::1", "7a.example", "a" * 63],
)
def test_a_host_by_itself_has_no_fault(host: str) -> None:
    assert fault_of_host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "cloud.example\n",
        "https://cloud.example",
        "cloud.example:6443",
        "cloud.example/",
        "cloud..example",
        "cloud.example.",
        "-cloud",
        "cloud-",
        "*.example",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "192.0.2",
        "192.0.2.256",
        "wölkchen.example",
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_host_is_told(host: str) -> None:
    fault = fault_of_host(host)
    assert fault is not None
    assert "\n" not in fault
