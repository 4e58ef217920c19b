from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.defaults.core import default_service
from cloudcore.apiserver.validation.services import check_service, check_service_update
from tests.support.registries import a_service


def wrong(**spec: Any) -> list[str]:
    body = a_service(**spec)
    default_service(body)
    return [cause.field for cause in check_service(body)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"clusterIP": "10.96.0.7"},
        {"clusterIP": "None", "ports": []},
        {"type": "ExternalName", "externalName": "example.com.", "ports": []},
        {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}]},
        {"ports": [{"port": 80, "targetPort": "http"}]},
        {"sessionAffinity": "ClientIP"},
        {"type": "NodePort"},
    ],
)
def test_good_services(spec: dict[str, Any]) -> None:
    assert wrong(**spec) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": []}, ["spec.ports"]),
        ({"type": "Cluster"}, ["spec.type"]),
        ({"sessionAffinity": "Sticky"}, ["spec.sessionAffinity"]),
        ({"internalTrafficPolicy": "Far"}, ["spec.internalTrafficPolicy"]),
        ({"ports": [{"port": 0}]}, ["spec.ports[0].port", "spec.ports[0].targetPort"]),
        ({"ports": [{"port": 80, "protocol": "tcp"}]}, ["spec.ports[0].protocol"]),
        ({"ports": [{"port": 80, "targetPort": "Bad_Name"}]}, ["spec.ports[0].targetPort"]),
        ({"ports": [{"port": 80}, {"port": 81, "name": "b"}]}, ["spec.ports[0].name"]),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, ["spec.ports[1].name"]),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}, ["spec.ports[1]"]),
        ({"clusterIP": "10.96.0"}, ["spec.clusterIPs[0]"]),
        ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.2"]}, ["spec.clusterIPs"]),
        ({"type": "ExternalName"}, ["spec.externalName"]),
        ({"type": "ExternalName", "externalName": "a_b"}, ["spec.externalName"]),
        ({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.96.0.1"}, ["spec.clusterIPs"]),
        ({"selector": {"a b": "c"}}, ["spec.selector"]),
        ({"ports": [{"port": 80, "nodePort": 30000}]}, ["spec.ports[0].nodePort"]),
        ({"type": "NodePort", "clusterIP": "None"}, ["spec.clusterIPs[0]"]),
        ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}, ["spec.clusterIPs"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["spec.ipFamilyPolicy"]),
        ({"ipFamilies": ["IPv6"]}, ["spec.ipFamilies[0]"]),
        ({"ipFamilies": ["IPv5"]}, ["spec.ipFamilies[0]"]),
        ({"externalTrafficPolicy": "Local"}, ["spec.externalTrafficPolicy"]),
        ({"type": "NodePort", "healthCheckNodePort": 30000}, ["spec.healthCheckNodePort"]),
        ({"type": "NodePort", "loadBalancerClass": "a/b"}, ["spec.loadBalancerClass"]),
        (
            {"type": "ExternalName", "externalName": "a.b", "ipFamilies": ["IPv4"]},
            ["spec.ipFamilies"],
        ),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], expected: list[str]) -> None:
    assert wrong(**spec) == expected


def test_an_address_is_immutable_unless_the_type_gives_it_up() -> None:
    old = a_service(clusterIP="10.96.0.1", type="ClusterIP")
    assert check_service_update(a_service(clusterIP="10.96.0.1", type="NodePort"), old) == []
    assert check_service_update(a_service(type="ExternalName"), old) == []
    (cause,) = check_service_update(a_service(clusterIP="10.96.0.2", type="ClusterIP"), old)
    assert cause.field == "spec.clusterIPs[0]"
