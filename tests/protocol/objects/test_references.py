"""What a pod names."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.objects.keys import Body, ObjectKey
from protocol.objects.references import pod_references


def pod(**spec: Any) -> Body:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def container(**fields: Any) -> Body:
    return {"name": "c", **fields}


CASES: list[tuple[str, Body, set[ObjectKey]]] = [
    (
        "env from a config map key",
        pod(containers=[container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}}])]),
        {ObjectKey("configmaps", "shop", "cm")},
    ),
    (
        "env from a secret key, in an init container",
        pod(initContainers=[container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}])]),
        {ObjectKey("secrets", "shop", "s")},
    ),
    (
        "envFrom",
        pod(containers=[container(envFrom=[{"configMapRef": {"name": "cm"}}, {"secretRef": {"name": "s"}}])]),
        {ObjectKey("configmaps", "shop", "cm"), ObjectKey("secrets", "shop", "s")},
    ),
    (
        "volumes",
        pod(
            volumes=[
                {"name": "a", "configMap": {"name": "cm"}},
                {"name": "b", "secret": {"secretName": "s"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "d", "emptyDir": {}},
            ]
        ),
        {
            ObjectKey("configmaps", "shop", "cm"),
            ObjectKey("secrets", "shop", "s"),
            ObjectKey("persistentvolumeclaims", "shop", "data"),
        },
    ),
    (
        "projected volumes",
        pod(
            volumes=[
                {
                    "name": "a",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "cm"}},
                            {"secret": {"name": "s"}},
                            {"serviceAccountToken": {"path": "token"}},
                            {"downwardAPI": {"items": []}},
                        ]
                    },
                }
            ]
        ),
        {ObjectKey("configmaps", "shop", "cm"), ObjectKey("secrets", "shop", "s")},
    ),
    (
        "a generic ephemeral volume's claim",
        pod(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]),
        {ObjectKey("persistentvolumeclaims", "shop", "web-scratch")},
    ),
    (
        "a CSI volume's secret",
        pod(volumes=[{"name": "a", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}]),
        {ObjectKey("secrets", "shop", "s")},
    ),
    ("image pull secrets", pod(imagePullSecrets=[{"name": "s"}]), {ObjectKey("secrets", "shop", "s")}),
    (
        "service account, and what it may do",
        pod(serviceAccountName="sa"),
        {
            ObjectKey("serviceaccounts", "shop", "sa"),
            ObjectKey("serviceaccountrules.edge.aiokubeedge.io", "shop", "sa"),
        },
    ),
    (
        "classes, which have no namespace",
        pod(runtimeClassName="process", priorityClassName="high"),
        {
            ObjectKey("runtimeclasses.node.k8s.io", "", "process"),
            ObjectKey("priorityclasses.scheduling.k8s.io", "", "high"),
        },
    ),
    ("nothing", pod(containers=[container(env=[{"name": "A", "value": "b"}])]), set()),
]


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_references(body: Body, expected: set[ObjectKey]) -> None:
    assert pod_references(body) == expected


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {"volumes": None, "containers": None},
        {"volumes": ["x"], "containers": [1]},
        {"containers": [{"env": {"a": 1}, "envFrom": [{"configMapRef": None}]}]},
        {"imagePullSecrets": [{}], "serviceAccountName": ""},
    ],
)
def test_malformed_parts_name_nothing(spec: object) -> None:
    assert pod_references({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}) == set()


def test_a_name_of_the_wrong_type_names_nothing() -> None:
    body = pod(serviceAccountName=7, volumes=[{"name": "a", "configMap": {"name": {"x": 3}}}])
    assert pod_references(body) == set()
