from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation.pods import check_pod
from protocol.objects.poddefaults import default_pod
from tests.support.registries import a_pod


def wrong(**spec: Any) -> list[tuple[str, str]]:
    """Return (reason, field) of what is wrong with a defaulted pod that has ``spec``."""
    body = a_pod(**spec)
    default_pod(body)
    return [(cause.reason.removeprefix("FieldValue"), cause.field) for cause in check_pod(body)]


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": "nginx", **fields}]}


def test_a_full_pod_is_right() -> None:
    probe = {"httpGet": {"port": "http"}, "periodSeconds": 5}
    good = {
        "containers": [
            {
                "name": "app",
                "image": "nginx",
                "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}],
                "env": [
                    {"name": "A_B.c-d", "value": "x"},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "settings"}}],
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "0.2", "example.com/gpu": "1"}},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/config", "subPath": "a/b"}],
                "livenessProbe": probe,
                "readinessProbe": {**probe, "successThreshold": 2},
            }
        ],
        "initContainers": [{"name": "init", "image": "busybox"}],
        "volumes": [
            {"name": "config", "configMap": {"name": "settings", "items": [{"key": "a", "path": "b"}]}},
            {"name": "scratch"},
            {"name": "host", "hostPath": {"path": "/var"}},
        ],
        "tolerations": [
            {"operator": "Exists"},
            {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5},
        ],
        "nodeSelector": {"kubernetes.io/hostname": "edge-node-01"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "zone", "operator": "In", "values": ["a"]},
                                {"key": "cores", "operator": "Gt", "values": ["3"]},
                                {"key": "gpu", "operator": "Exists"},
                            ],
                            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
                        }
                    ]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}
                ],
            }
        },
        "activeDeadlineSeconds": 60,
        "hostname": "web",
        "serviceAccountName": "default",
    }
    assert wrong(**good) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": []}, [("Required", "spec.containers")]),
        (container(name=""), [("Required", "spec.containers[0].name")]),
        (container(name="App"), [("Invalid", "spec.containers[0].name")]),
        (container(image=""), [("Required", "spec.containers[0].image")]),
        (container(image=" nginx"), [("Invalid", "spec.containers[0].image")]),
        (container(imagePullPolicy="Often"), [("NotSupported", "spec.containers[0].imagePullPolicy")]),
        (container(terminationMessagePolicy="x"), [("NotSupported", "spec.containers[0].terminationMessagePolicy")]),
        (
            {"containers": [{"name": "a", "image": "x"}], "initContainers": [{"name": "a", "image": "y"}]},
            [("Duplicate", "spec.containers[0].name")],
        ),
        (container(ports=[{"containerPort": 0}]), [("Invalid", "spec.containers[0].ports[0].containerPort")]),
        (container(ports=[{"containerPort": 65536}]), [("Invalid", "spec.containers[0].ports[0].containerPort")]),
        (
            container(ports=[{"containerPort": 1, "hostPort": 70000}]),
            [("Invalid", "spec.containers[0].ports[0].hostPort")],
        ),
        (
            container(ports=[{"containerPort": 1, "protocol": "tcp"}]),
            [("NotSupported", "spec.containers[0].ports[0].protocol")],
        ),
        (
            container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            [("Duplicate", "spec.containers[0].ports[1].name")],
        ),
        (
            container(ports=[{"containerPort": 1, "name": "A_very_long_port_name"}]),
            [("Invalid", "spec.containers[0].ports[0].name")],
        ),
        (container(env=[{"name": ""}]), [("Required", "spec.containers[0].env[0].name")]),
        (container(env=[{"name": "A=B"}]), [("Invalid", "spec.containers[0].env[0].name")]),
        (
            container(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "y"}}}]),
            [("Invalid", "spec.containers[0].env[0].valueFrom")],
        ),
        (container(env=[{"name": "A", "valueFrom": {}}]), [("Invalid", "spec.containers[0].env[0].valueFrom")]),
        (container(envFrom=[{}]), [("Invalid", "spec.containers[0].envFrom[0]")]),
        (
            container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            [("Invalid", "spec.containers[0].resources.requests")],
        ),
        (
            container(resources={"limits": {"cpu": "-1"}}),
            [
                ("Invalid", "spec.containers[0].resources.limits[cpu]"),
                ("Invalid", "spec.containers[0].resources.requests[cpu]"),
            ],
        ),
        (
            container(resources={"requests": {"gpu": "1"}}),
            [("Invalid", "spec.containers[0].resources.requests[gpu]")],
        ),
        (
            container(resources={"requests": {"example.com/gpu": "1"}}),
            [("Invalid", "spec.containers[0].resources.limits")],
        ),
        (
            container(volumeMounts=[{"name": "nope", "mountPath": "/a"}]),
            [("NotFound", "spec.containers[0].volumeMounts[0].name")],
        ),
        (
            {
                **container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]),
                "volumes": [{"name": "v"}],
            },
            [("Invalid", "spec.containers[0].volumeMounts[1].mountPath")],
        ),
        (
            {
                **container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "../x"}]),
                "volumes": [{"name": "v"}],
            },
            [("Invalid", "spec.containers[0].volumeMounts[0].subPath")],
        ),
        ({"volumes": [{"name": "a"}, {"name": "a"}]}, [("Duplicate", "spec.volumes[1].name")]),
        ({"volumes": [{"name": "A"}]}, [("Invalid", "spec.volumes[0].name")]),
        ({"volumes": [{"name": "a", "secret": {}}]}, [("Required", "spec.volumes[0].secret.secretName")]),
        (
            {"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "b"}}]},
            [("Forbidden", "spec.volumes[0].secret")],
        ),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/a/../b"}}]},
            [("Invalid", "spec.volumes[0].hostPath.path")],
        ),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/a", "type": "Whatever"}}]},
            [("NotSupported", "spec.volumes[0].hostPath.type")],
        ),
        (
            {"volumes": [{"name": "a", "configMap": {"name": "b", "items": [{"key": "k", "path": "../k"}]}}]},
            [("Invalid", "spec.volumes[0].configMap.items[0].path")],
        ),
        ({"restartPolicy": "Sometimes"}, [("NotSupported", "spec.restartPolicy")]),
        ({"dnsPolicy": "None!"}, [("NotSupported", "spec.dnsPolicy")]),
        ({"terminationGracePeriodSeconds": -1}, [("Invalid", "spec.terminationGracePeriodSeconds")]),
        ({"activeDeadlineSeconds": 0}, [("Invalid", "spec.activeDeadlineSeconds")]),
        ({"nodeSelector": {"a/b/c": "x"}}, [("Invalid", "spec.nodeSelector")]),
        ({"hostname": "a.b"}, [("Invalid", "spec.hostname")]),
        ({"preemptionPolicy": "Maybe"}, [("NotSupported", "spec.preemptionPolicy")]),
        ({"tolerations": [{"key": "a", "operator": "Like"}]}, [("NotSupported", "spec.tolerations[0].operator")]),
        ({"tolerations": [{"value": "a"}]}, [("Invalid", "spec.tolerations[0].operator")]),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            [("Invalid", "spec.tolerations[0].value")],
        ),
        (
            {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]},
            [("Invalid", "spec.tolerations[0].effect")],
        ),
        ({"tolerations": [{"key": "a", "effect": "Never"}]}, [("NotSupported", "spec.tolerations[0].effect")]),
        ({"tolerations": [{"key": "a b"}]}, [("Invalid", "spec.tolerations[0].key")]),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert wrong(**spec) == expected


@pytest.mark.parametrize(
    ("probe", "field"),
    [
        ({}, ""),
        ({"exec": {}, "tcpSocket": {"port": 1}}, ".tcpSocket"),
        ({"exec": {}, "periodSeconds": -1}, ".periodSeconds"),
        ({"exec": {}, "successThreshold": 2}, ".successThreshold"),
        ({"httpGet": {"port": 0}}, ".httpGet.port"),
        ({"tcpSocket": {"port": "Not A Port"}}, ".tcpSocket.port"),
    ],
)
def test_a_wrong_probe_is_named(probe: dict[str, Any], field: str) -> None:
    assert [path for _, path in wrong(**container(livenessProbe=probe))] == [f"spec.containers[0].livenessProbe{field}"]


COMMAND = {"exec": {"command": ["x"]}}


@pytest.mark.parametrize(
    ("lifecycle", "field"),
    [
        ({"preStop": {}}, ".preStop"),
        ({"postStart": {"tcpSocket": {"port": 80}}}, ".postStart.tcpSocket"),
        ({"preStop": {**COMMAND, "sleep": {"seconds": 1}}}, ".preStop.sleep"),
        ({"preStop": {"exec": {}}}, ".preStop.exec.command"),
        ({"postStart": {"httpGet": {"port": 0}}}, ".postStart.httpGet.port"),
        ({"preStop": {"sleep": {"seconds": 31}}}, ".preStop.sleep.seconds"),
        ({"preStop": {"sleep": {"seconds": -1}}}, ".preStop.sleep.seconds"),
        ({"stopSignal": "TERM"}, ".stopSignal"),
    ],
)
def test_a_wrong_lifecycle_is_named(lifecycle: dict[str, Any], field: str) -> None:
    found = [path for _, path in wrong(**container(lifecycle=lifecycle))]
    assert found == [f"spec.containers[0].lifecycle{field}"]


@pytest.mark.parametrize(
    "lifecycle",
    [
        {"postStart": COMMAND, "preStop": {"sleep": {"seconds": 30}}},
        {"postStart": {"httpGet": {"port": "http"}}, "stopSignal": "SIGUSR2"},
        {"postStart": None, "stopSignal": "SIGRTMIN+3"},
        None,
    ],
)
def test_a_right_lifecycle(lifecycle: dict[str, Any] | None) -> None:
    assert wrong(**container(lifecycle=lifecycle)) == []


def test_a_plain_init_container_has_no_probe() -> None:
    init = {"name": "init", "image": "x", "readinessProbe": {"exec": {}}}
    assert wrong(initContainers=[init]) == [("Forbidden", "spec.initContainers[0].readinessProbe")]
    assert wrong(initContainers=[{**init, "restartPolicy": "Always"}]) == []


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ({"key": "a", "operator": "Like"}, "operator"),
        ({"key": "a", "operator": "In"}, "values"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, "values"),
        ({"key": "a", "operator": "Gt", "values": ["x"]}, "values"),
        ({"key": "-", "operator": "Exists"}, "key"),
    ],
)
def test_a_wrong_affinity_term_is_named(expression: dict[str, Any], field: str) -> None:
    term = {"matchExpressions": [expression]}
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    assert [found for _, found in wrong(affinity={"nodeAffinity": needed})] == [
        f"{path}[0].matchExpressions[0].{field}"
    ]


def test_affinity_needs_terms_and_weights_in_range() -> None:
    node = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []},
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 0, "preference": {"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]}}
        ],
    }
    fields = [path.rpartition("Execution")[2] for _, path in wrong(affinity={"nodeAffinity": node})]
    assert fields == [".nodeSelectorTerms", "[0].weight", "[0].preference.matchFields[0].key"]
