"""Objects that the golden frames carry: one of each kind that a node can hold, as they stand in the API."""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body

POD_UID: Final = "4c1f0a70-0000-4000-8000-000000000001"
CREATED: Final = "2026-11-23T12:00:00Z"


def _metadata(number: int, name: str, namespace: str = "default", **more: object) -> Body:
    place = {"namespace": namespace} if namespace else {}
    # managedFields, resourceVersion and the last-applied annotation are not part of a projection.
    uid = f"4c1f0a70-0000-4000-8000-{number:012d}"
    noise = {"resourceVersion": str(100 + number), "managedFields": [{"manager": "kubectl"}]}
    return {"name": name, **place, "uid": uid, "creationTimestamp": CREATED, **noise, **more}


APPLIED: Final = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
OBJECTS: Final[list[tuple[str, Body]]] = [
    (
        "pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _metadata(1, "web", labels={"app": "web"}, annotations=APPLIED, generation=1),
            "spec": {
                "nodeName": "edge-1",
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "containers": [{"name": "web", "image": "process", "command": ["sh", "-c", "sleep 3600"]}],
                "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
            },
            "status": {"phase": "Pending"},
        },
    ),
    ("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": _metadata(2, "edge-1", ""), "spec": {}, "status": {}}),
    ("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(3, "settings"), "data": {"a": "ä"}}),
    (
        "secrets",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _metadata(4, "token"),
            "type": "Opaque",
            "data": {"password": "aHVudGVyMg=="},
        },
    ),
    (
        "services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(5, "web"),
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]},
            "status": {"loadBalancer": {}},
        },
    ),
    (
        "endpointslices.discovery.k8s.io",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": _metadata(6, "web-x1"),
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],
        },
    ),
    (
        "persistentvolumeclaims",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": _metadata(7, "data"),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
    ),
    ("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(8, "default")}),
    (
        "runtimeclasses.node.k8s.io",
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": _metadata(9, "process", ""),
            "handler": "process",
        },
    ),
    (
        "priorityclasses.scheduling.k8s.io",
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": _metadata(10, "urgent", ""),
            "value": 1000,
        },
    ),
]

POD_STATUS: Final[Body] = {
    "phase": "Running",
    "startTime": CREATED,
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": CREATED}],
    "containerStatuses": [
        {
            "name": "web",
            "image": "process",
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": CREATED}},
        }
    ],
}
NODE_STATUS: Final[Body] = {
    "capacity": {"cpu": "4", "memory": "8388608Ki", "pods": "110"},
    "allocatable": {"cpu": "4", "memory": "8286208Ki", "pods": "110"},
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "AgentReady", "message": "up", "lastTransitionTime": CREATED}
    ],
    "addresses": [{"type": "Hostname", "address": "edge-1"}],
    "nodeInfo": {
        "machineID": "m",
        "systemUUID": "m",
        "bootID": "b",
        "kernelVersion": "6.1",
        "osImage": "os",
        "architecture": "amd64",
        "operatingSystem": "linux",
        "containerRuntimeVersion": "process://0.1.0",
        "kubeletVersion": "v1.33.0-aiokubeedge-0.1.0",
        "kubeProxyVersion": "v1.33.0-aiokubeedge-0.1.0",
    },
}
STATIC_UID: Final = "8d2e6d42aec361d5f66137b3ec0f42df"
MIRROR: Final[Body] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "sensor-edge-1",
        "namespace": "default",
        "annotations": {
            "kubernetes.io/config.hash": STATIC_UID,
            "kubernetes.io/config.mirror": STATIC_UID,
            "kubernetes.io/config.seen": CREATED,
            "kubernetes.io/config.source": "file",
        },
    },
    "spec": {"nodeName": "edge-1", "containers": [{"name": "sensor", "image": "process", "command": ["sensord"]}]},
}
EVENT: Final[Body] = {
    "metadata": {"name": "web.18a0c7", "namespace": "default"},
    "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web", "uid": POD_UID},
    "reason": "Started",
    "message": "started container web",
    "type": "Normal",
    "source": {"component": "edgecore"},
    "firstTimestamp": CREATED,
    "lastTimestamp": CREATED,
    "count": 1,
}
