from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.poddefaults import default_pod, default_pod_template, pull_policy
from tests.support.registries import a_pod


def defaulted(**spec: Any) -> dict[str, Any]:
    body = a_pod(**spec)
    default_pod(body)
    result: dict[str, Any] = body["spec"]
    return result


def test_a_bare_pod_gets_kubernetes_defaults() -> None:
    assert defaulted() == {
        "containers": [
            {
                "name": "app",
                "image": "nginx:alpine",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {},
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
    }


def test_what_is_stated_stays() -> None:
    stated = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "enableServiceLinks": False}
    assert {name: value for name, value in defaulted(**stated).items() if name in stated} == stated


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_only_moving_tags_are_always_pulled(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_probes_ports_and_references_are_filled() -> None:
    container = {
        "name": "a",
        "image": "b",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "readinessProbe": {"grpc": {"port": 80}, "periodSeconds": 3},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
    }
    filled = defaulted(containers=[container])["containers"][0]
    assert filled["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert filled["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert filled["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert filled["readinessProbe"]["periodSeconds"] == 3
    assert filled["readinessProbe"]["grpc"] == {"port": 80, "service": ""}
    assert filled["lifecycle"]["preStop"]["httpGet"]["scheme"] == "HTTP"


def test_volumes_are_filled() -> None:
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "c", "secret": {"secretName": "c", "defaultMode": 256}},
        {"name": "d", "hostPath": {"path": "/x"}},
        {
            "name": "e",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]
            },
        },
    ]
    filled = defaulted(volumes=volumes)["volumes"]
    assert filled[0] == {"name": "a", "emptyDir": {}}
    assert filled[1]["configMap"]["defaultMode"] == 420
    assert filled[2]["secret"]["defaultMode"] == 256
    assert filled[3]["hostPath"]["type"] == ""
    assert filled[4]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert filled[4]["projected"]["sources"][1]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"


def test_limits_are_requested_in_pods_and_not_in_templates() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    containers = [{"name": "a", "image": "b", "resources": resources}]
    filled = defaulted(containers=containers)["containers"][0]["resources"]["requests"]
    assert filled == {"cpu": "500m", "memory": "1Gi"}
    template: dict[str, Any] = {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}}
    default_pod_template(template)
    assert "requests" not in template["spec"]["containers"][0]["resources"]


def test_host_network_takes_the_ports_of_the_host() -> None:
    container = {"name": "a", "image": "b", "ports": [{"containerPort": 80}]}
    assert defaulted(hostNetwork=True, containers=[container])["containers"][0]["ports"][0]["hostPort"] == 80


def test_both_names_of_the_service_account_agree() -> None:
    spec = defaulted(serviceAccount="bot")
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("bot", "bot")


@given(st.sampled_from([{}, {"hostNetwork": True}, {"volumes": [{"name": "a"}]}, {"serviceAccountName": "x"}]))
def test_defaults_are_idempotent(spec: dict[str, Any]) -> None:
    body = a_pod(**spec)
    default_pod(body)
    once = repr(body)
    default_pod(body)
    assert repr(body) == once
