from __future__ import annotations

from typing import Any

from cloudcore.apiserver.defaults import core
from tests.support.registries import a_service


def test_a_namespace_is_labelled_with_its_name() -> None:
    body: dict[str, Any] = {"metadata": {"name": "shop", "labels": {"a": "b"}}}
    core.default_namespace(body)
    assert body["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "shop"}


def test_plain_secret_data_is_encoded_and_wins() -> None:
    body: dict[str, Any] = {"metadata": {}, "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new ü"}}
    core.default_secret(body)
    assert body["type"] == "Opaque"
    assert body["data"] == {"a": "bmV3IMO8", "b": "Yg=="}
    assert "stringData" not in body


def test_a_service_gets_kubernetes_defaults() -> None:
    body = a_service(sessionAffinity="ClientIP")
    core.default_service(body)
    spec = body["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10_800}}
    assert (spec["internalTrafficPolicy"], spec["ipFamilies"], spec["ipFamilyPolicy"]) == (
        "Cluster",
        ["IPv4"],
        "SingleStack",
    )
    assert "externalTrafficPolicy" not in spec


def test_the_type_decides_on_traffic_policies() -> None:
    outside, named = a_service(type="NodePort"), a_service(type="ExternalName", externalName="a.b")
    core.default_service(outside)
    core.default_service(named)
    assert outside["spec"]["externalTrafficPolicy"] == "Cluster"
    assert "internalTrafficPolicy" not in named["spec"]


def test_a_nodes_capacity_is_allocatable_unless_it_says_otherwise() -> None:
    body: dict[str, Any] = {"metadata": {}, "status": {"capacity": {"cpu": "4"}}}
    core.default_node(body)
    assert body["status"]["allocatable"] == {"cpu": "4"}
    body["status"]["allocatable"]["cpu"] = "3"
    core.default_node(body)
    assert body["status"] == {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "3"}}


def test_ports_of_endpoints_are_tcp() -> None:
    body: dict[str, Any] = {"subsets": [{"ports": [{"port": 1}, {"port": 2, "protocol": "UDP"}]}]}
    core.default_endpoints(body)
    assert [port["protocol"] for port in body["subsets"][0]["ports"]] == ["TCP", "UDP"]


def test_a_priority_class_preempts_by_default() -> None:
    body: dict[str, Any] = {}
    core.default_priority_class(body)
    assert body == {"preemptionPolicy": "PreemptLowerPriority", "value": 0}
