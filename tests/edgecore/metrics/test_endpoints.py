from __future__ import annotations

from typing import Any

import pytest

from edgecore.metrics.endpoints import Endpoint, endpoint_of
from protocol.objects.keys import Body


def pod(annotations: Any, ports: Any = None) -> Body:
    container = {"name": "c", "image": "i"} | ({"ports": ports} if ports else {})
    return {"metadata": {"name": "p", "annotations": annotations}, "spec": {"containers": [container]}}


def asking(**more: str) -> dict[str, str]:
    return {"prometheus.io/scrape": "true"} | {f"prometheus.io/{name}": value for name, value in more.items()}


@pytest.mark.parametrize(
    ("annotations", "ports", "expected"),
    [
        (asking(port="8080"), None, Endpoint(8080, "/metrics")),
        (asking(port="8080", path="/m?x=1"), None, Endpoint(8080, "/m?x=1")),
        (asking(port="65535", scheme="http"), None, Endpoint(65535, "/metrics")),
        (asking(), [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}], Endpoint(80, "/metrics")),
        (asking(), None, None),
        (None, None, None),
        ({"prometheus.io/port": "8080"}, None, None),
        (asking(port="8080") | {"prometheus.io/scrape": "yes"}, None, None),
        (asking(port="8080", scheme="https"), None, None),
        (asking(port="0"), None, None),
        (asking(port="65536"), None, None),
        (asking(port="9" * 5000), None, None),
        (asking(port="-1"), None, None),
        (asking(port="٣"), None, None),
        (asking(port=""), None, None),
        (asking(port="web"), [{"containerPort": 80}], None),
        (asking(port="80", path="metrics"), None, None),
        (asking(port="80", path="/ HTTP/1.1\r\nHost: x"), None, None),
        (asking(port="80", path="/\n"), None, None),
        (asking(port="80", path="/ü"), None, None),
        (asking(port="80", path="/" + "x" * 2000), None, None),
    ],
)
def test_where_a_pod_offers_metrics(annotations: Any, ports: Any, expected: Endpoint | None) -> None:
    assert endpoint_of(pod(annotations, ports)) == expected
