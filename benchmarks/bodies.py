"""Synthetic objects of a fleet, such as charts and people make them: what travels on links, for measuring bytes.

Names, images, keys and values are made of words drawn from a vocabulary; two sets of bodies with different vocabularies
share what Kubernetes prescribes (field names, defaults, well-known values) and nothing else, so that what is trained on
one can be measured honestly on the other.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Any

import msgpack

from protocol.messages import Item, Op
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.projections import SLICE_RESOURCES, projection

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeio"]


class Fleet:
    """Makes the objects of one imaginary fleet.

    Args:
        seed: Of everything; another seed is another fleet with words of its own.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.words = ["".join(self.rng.choices(_SYLLABLES, k=self.rng.randint(2, 4))) for _ in range(400)]

    def word(self) -> str:
        """Return a word of this fleet."""
        return self.rng.choice(self.words)

    def uid(self) -> str:
        """Return a random uid."""
        text = f"{self.rng.getrandbits(128):032x}"
        return "-".join((text[:8], text[8:12], "4" + text[13:16], "a" + text[17:20], text[20:]))

    def item(self, resource: str) -> Item:
        """Return a put of a new object of ``resource``."""
        return self.put(resource, KINDS[resource](self))

    def put(self, resource: str, body: Body) -> Item:
        """Return the put that carries ``body`` down to a node or, for reports, up."""
        metadata = body.get("metadata") or self.metadata(self.word())
        shown = projection(resource, body) if resource in SLICE_RESOURCES else body
        key = ObjectKey(resource, metadata.get("namespace", ""), metadata["name"])
        packed: bytes = msgpack.packb(shown)
        return Item(Op.PUT, key, Uid(metadata["uid"]), Revision(self.rng.randrange(10**6)), packed)

    def metadata(self, name: str, **more: Any) -> Body:
        """Return an object's metadata."""
        return {
            "name": name,
            "namespace": self.rng.choice(["default", "default", self.word(), "production"]),
            "uid": self.uid(),
            "creationTimestamp": self.time(),
            "generation": 1,
            **more,
        }

    def time(self) -> str:
        """Return a time of some day of 2026."""
        rng = self.rng
        date = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return f"{date}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"

    def labels(self) -> dict[str, str]:
        """Return labels as charts set them, or as people do."""
        app = self.word()
        if self.rng.random() < 0.5:
            return {"app": app}
        return {
            "app.kubernetes.io/name": app,
            "app.kubernetes.io/instance": f"{app}-{self.word()}",
            "app.kubernetes.io/version": self.version(),
            "app.kubernetes.io/managed-by": "Helm",
        }

    def version(self) -> str:
        """Return a version number."""
        return ".".join(str(self.rng.randint(0, 20)) for _ in range(3))

    def text(self, size: int) -> str:
        """Return about ``size`` characters of a configuration file."""
        lines, length = [], 0
        while length < size:
            value = self.rng.choice([self.word(), str(self.rng.randrange(10**5)), "true"])
            line = f"{self.word()}.{self.word()} = {value}"
            lines.append(line)
            length += len(line) + 1
        return "\n".join(lines)


def pod(fleet: Fleet) -> Body:
    """Return a Pod of a Deployment, with the API server's defaults."""
    rng, labels = fleet.rng, fleet.labels()
    app = next(iter(labels.values()))
    owner = f"{app}-{rng.getrandbits(36):09x}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": fleet.metadata(
            f"{owner}-{fleet.word()[:5]}",
            generateName=f"{owner}-",
            labels={**labels, "pod-template-hash": owner[-9:]},
            annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "8080"} if rng.random() < 0.3 else {},
            ownerReferences=[
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": owner,
                    "uid": fleet.uid(),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        ),
        "spec": {
            "volumes": [
                {"name": "config", "configMap": {"name": f"{app}-config", "defaultMode": 420}},
                {"name": "data", "emptyDir": {}},
            ][: rng.randint(0, 2)],
            "containers": [_container(fleet, app) for _ in range(rng.choice([1, 1, 1, 2]))],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "nodeName": f"edge-{fleet.word()}-{rng.randint(1, 999):03}",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            ],
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            **({"runtimeClassName": "process"} if rng.random() < 0.4 else {}),
        },
    }


def _container(fleet: Fleet, app: str) -> Body:
    rng = fleet.rng
    container: Body = {
        "name": app,
        "image": f"registry.{fleet.word()}.example/{fleet.word()}/{app}:{fleet.version()}",
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    if rng.random() < 0.7:
        container["ports"] = [{"name": "http", "containerPort": rng.choice([80, 8080, 1883]), "protocol": "TCP"}]
    if rng.random() < 0.4:
        container["command"] = ["python3", "-m", fleet.word(), f"--{fleet.word()}={rng.randrange(1000)}"]
    if rng.random() < 0.6:
        container["env"] = [
            {"name": fleet.word().upper(), "value": fleet.word()},
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}},
        ]
        container["envFrom"] = [{"configMapRef": {"name": f"{app}-config"}}]
    if rng.random() < 0.5:
        container["livenessProbe"] = {
            "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
            "initialDelaySeconds": 10,
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        }
        container["volumeMounts"] = [{"name": "config", "mountPath": f"/etc/{app}", "readOnly": True}]
    return container


def config_map(fleet: Fleet, size: int | None = None) -> Body:
    """Return a ConfigMap with a file or some values; of about ``size`` bytes where given."""
    rng = fleet.rng
    data = {fleet.word(): fleet.word() for _ in range(rng.randint(0, 5))}
    if size or rng.random() < 0.6:
        data[f"{fleet.word()}.{rng.choice(['conf', 'yaml', 'properties'])}"] = fleet.text(size or rng.randint(50, 1500))
    metadata = fleet.metadata(f"{fleet.word()}-config", labels=fleet.labels())
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(fleet: Fleet) -> Body:
    """Return an opaque Secret."""
    rng = fleet.rng
    keys = rng.sample(["username", "password", "token", "ca.crt", "tls.key", fleet.word()], k=2)
    data = {key: base64.b64encode(rng.randbytes(rng.randint(12, 60))).decode() for key in keys}
    metadata = fleet.metadata(f"{fleet.word()}-secret")
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def service(fleet: Fleet) -> Body:
    """Return a Service of type ClusterIP."""
    rng, labels = fleet.rng, fleet.labels()
    address = f"10.96.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": fleet.metadata(fleet.word(), labels=labels),
        "spec": {
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": rng.choice([8080, "http", 80])}],
            "selector": labels,
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
    }


def endpoint_slice(fleet: Fleet) -> Body:
    """Return an EndpointSlice of a few pods."""
    rng, name = fleet.rng, fleet.word()
    metadata = fleet.metadata(
        f"{name}-{fleet.word()[:5]}",
        labels={
            "kubernetes.io/service-name": name,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
    )
    endpoints = [
        {
            "addresses": [f"10.244.{rng.randint(0, 255)}.{rng.randint(1, 254)}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"edge-{fleet.word()}-{rng.randint(1, 999):03}",
            "targetRef": {"kind": "Pod", "name": f"{name}-{fleet.word()}", "namespace": "default", "uid": fleet.uid()},
        }
        for _ in range(rng.randint(1, 4))
    ]
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def node(fleet: Fleet) -> Body:
    """Return an edge Node as joining makes it."""
    name = f"edge-{fleet.word()}-{fleet.rng.randint(1, 999):03}"
    metadata = fleet.metadata(
        name,
        labels={
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": fleet.rng.choice(["arm64", "amd64"]),
            "node-role.kubernetes.io/edge": "",
            "topology.kubernetes.io/zone": fleet.word(),
        },
        annotations={
            "edge.aiokubeedge.io/instance-id": fleet.uid(),
            "edge.aiokubeedge.io/certificate": f"{fleet.rng.getrandbits(256):064x}",
            "edge.aiokubeedge.io/runtimes": "process",
        },
    )
    return {"apiVersion": "v1", "kind": "Node", "metadata": {**metadata, "namespace": ""}, "spec": {}}


def pod_status(fleet: Fleet) -> Body:
    """Return what a node reports of a Pod."""
    started, app = fleet.time(), fleet.word()
    kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    condition = {"status": "True", "lastProbeTime": None, "lastTransitionTime": started}
    return {
        "metadata": fleet.metadata(f"{app}-{fleet.word()}"),
        "status": {
            "phase": "Running",
            "conditions": [{"type": kind, **condition} for kind in kinds],
            "hostIP": f"192.168.{fleet.rng.randint(0, 9)}.{fleet.rng.randint(1, 254)}",
            "podIP": f"192.168.{fleet.rng.randint(0, 9)}.{fleet.rng.randint(1, 254)}",
            "startTime": started,
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": app,
                    "state": {"running": {"startedAt": started}},
                    "lastState": {},
                    "ready": True,
                    "restartCount": fleet.rng.choice([0, 0, 0, 1, 7]),
                    "image": f"registry.{fleet.word()}.example/{fleet.word()}/{app}:{fleet.version()}",
                    "imageID": "",
                    "containerID": f"process://{fleet.uid()}",
                    "started": True,
                }
            ],
        },
    }


def event(fleet: Fleet) -> Body:
    """Return an Event about a Pod."""
    rng, name, at = fleet.rng, fleet.word(), fleet.time()
    reason = rng.choice(["Started", "Created", "Killing", "BackOff", "Pulled", "FailedMount"])
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": name, "uid": fleet.uid()}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": fleet.metadata(f"{name}.{rng.getrandbits(60):015x}"),
        "involvedObject": about,
        "reason": reason,
        "message": f"{reason} container {fleet.word()}",
        "source": {"component": "edgecore", "host": f"edge-{fleet.word()}"},
        "reportingComponent": "edgecore",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "type": rng.choice(["Normal", "Warning"]),
    }


KINDS: dict[str, Callable[[Fleet], Body]] = {
    "pods": pod,
    "configmaps": config_map,
    "secrets": secret,
    "services": service,
    "endpointslices.discovery.k8s.io": endpoint_slice,
    "nodes": node,
    "pods/status": pod_status,
    "events": event,
}
