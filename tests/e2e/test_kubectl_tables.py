"""What ``kubectl get`` and ``kubectl get -o wide`` show of every kind, against golden tables."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import yaml

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.registry import Registry
from cloudcore.store.memory import MemoryStore
from protocol.objects.devices import DEVICE_STATUSES
from protocol.objects.keys import Body, Uid
from protocol.objects.resources import (
    DEVICE_HISTORIES,
    NODE_LINKS,
    NODE_METRICS,
    NODE_SYNCS,
    OBJECT_TRACES,
    POD_METRICS,
)
from tests.support.apiservers import RunningServer, serving
from tests.support.kindsamples import samples
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.e2e

MADE = 1_700_000_000.0
"""When the objects are made (Unix time): 2023-11-14T22:13:20Z."""
SEEN = MADE + 90

_TEMPLATE = "{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: 'nginx:1'}]}}"
DOCUMENTS = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}, status: {{phase: Active}}}}
---
apiVersion: v1
kind: Node
metadata: {{name: edge-1, labels: {{node-role.kubernetes.io/edge: ""}}}}
spec: {{unschedulable: true}}
status:
  conditions: [{{type: Ready, status: "True"}}]
  addresses: [{{type: InternalIP, address: 10.0.0.2}}]
  nodeInfo: {{
    kubeletVersion: v1.33.0, osImage: Debian, kernelVersion: "6.1", containerRuntimeVersion: "process://1",
    architecture: amd64, bootID: b, kubeProxyVersion: "", machineID: m, operatingSystem: linux, systemUUID: s}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1}}
spec:
  nodeName: edge-1
  readinessGates: [{{conditionType: g}}]
  containers: [{{name: app, image: "nginx:1"}}, {{name: log, image: log}}]
status:
  phase: Running
  podIP: 10.1.0.1
  podIPs: [{{ip: 10.1.0.1}}]
  containerStatuses:
  - name: app
    image: nginx:1
    imageID: ""
    ready: true
    restartCount: 2
    state: {{running: {{}}}}
    lastState: {{terminated: {{exitCode: 1, finishedAt: "2023-11-14T22:13:50Z"}}}}
  - name: log
    image: log
    imageID: ""
    ready: false
    restartCount: 0
    state: {{waiting: {{reason: CrashLoopBackOff}}}}
---
{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, data: {{a: "1"}}, binaryData: {{b: aGk=}}}}
---
{{apiVersion: v1, kind: Secret, metadata: {{name: password}}, type: example.com/own, data: {{p: aGk=}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  clusterIP: 10.96.0.50
  clusterIPs: [10.96.0.50]
  selector: {{app: web}}
  ports: [{{name: a, port: 80, nodePort: 30080}}, {{name: b, port: 53, protocol: UDP, nodePort: 30053}}]
---
apiVersion: v1
kind: Endpoints
metadata: {{name: web}}
subsets: [{{addresses: [{{ip: 10.1.0.1}}, {{ip: 10.1.0.2}}], ports: [{{name: a, port: 80}}, {{name: b, port: 81}}]}}]
---
apiVersion: v1
kind: Event
metadata: {{name: hello}}
involvedObject: {{kind: Pod, name: web-1, namespace: default, fieldPath: "spec.containers{{app}}"}}
reason: Failed
message: no such command
type: Warning
source: {{component: edgecore, host: edge-1}}
firstTimestamp: "2023-11-14T22:13:50Z"
lastTimestamp: "2023-11-14T22:14:40Z"
count: 3
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: robot}}, secrets: [{{name: a}}]}}
---
{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: leader}}, spec: {{holderIdentity: me}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec: {{replicas: 3, selector: {{matchLabels: {{app: web}}}}, template: {_TEMPLATE}}}
status: {{replicas: 3, readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: web-a}}
spec: {{replicas: 3, selector: {{matchLabels: {{app: web}}}}, template: {_TEMPLATE}}}
status: {{replicas: 2, readyReplicas: 1}}
---
{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: fast}}, handler: process}}
---
{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {{name: high}}, value: 1000, globalDefault: true}}
---
apiVersion: devices.kubeedge.io/v1beta1
kind: DeviceModel
metadata: {{name: thermostat}}
spec: {{protocol: modbus, properties: [{{name: temperature, type: INT, accessMode: ReadOnly}}]}}
---
apiVersion: devices.kubeedge.io/v1beta1
kind: Device
metadata: {{name: hall}}
spec: {{deviceModelRef: {{name: thermostat}}, nodeName: edge-1, protocol: {{protocolName: modbus}}}}
status: {{state: online, lastOnlineTime: "2023-11-14T22:14:40Z"}}
---
apiVersion: edge.aiokubeedge.io/v1alpha1
kind: DeviceCall
metadata: {{name: warmer}}
spec: {{deviceName: hall, method: setTarget, arguments: {{target: "21"}}}}
---
{{apiVersion: edge.aiokubeedge.io/v1alpha1, kind: ServiceAccountRules, metadata: {{name: robot}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: pumps.example.com}}
spec:
  group: example.com
  scope: Namespaced
  names: {{kind: Pump, plural: pumps}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
    additionalPrinterColumns:
    - {{name: Litres, type: integer, jsonPath: .spec.litres}}
    - {{name: Maker, type: string, jsonPath: .spec.maker, priority: 1}}
---
{{apiVersion: example.com/v1, kind: Pump, metadata: {{name: deep}}, spec: {{litres: 7, maker: ann}}}}
"""

VIRTUAL: dict[str, Body] = {
    NODE_METRICS: {"metadata": {"name": "edge-1"}, "usage": {"cpu": "250m", "memory": "1024Ki"}, "window": "10s"},
    POD_METRICS: {
        "metadata": {"name": "web-1", "namespace": "default"},
        "containers": [{"name": "app", "usage": {"cpu": "100m", "memory": "512Ki"}}],
        "window": "10s",
    },
    NODE_LINKS: {
        "metadata": {"name": "edge-1"},
        "status": {
            "connected": True, "rttMs": 12.3, "lagSeconds": 3.0, "pending": 7, "load": {"cpu": 0.25, "memory": 0.5},
            "since": "2023-11-14T22:14:40Z", "transport": "websocket", "address": "10.0.0.2:4",
        },
    },
    NODE_SYNCS: {
        "metadata": {"name": "edge-1"},
        "status": {
            "state": "Pending", "digest": {"equal": False, "edgeAsOf": "2023-11-14T22:14:47Z"},
            "slice": {"objects": 12}, "pendingTotal": 3, "lagSeconds": 5.0, "rejected": [{}],
            "since": "2023-11-14T22:14:40Z", "epoch": 7,
        },
    },
    OBJECT_TRACES: {
        "metadata": {"name": "t", "creationTimestamp": "2023-11-14T22:14:40Z"},
        "spec": {"resource": "configmaps", "namespace": "default", "name": "web"},
        "status": {"state": "Waiting", "versions": []},
    },
    DEVICE_STATUSES: {
        "metadata": {"name": "hall", "namespace": "default", "creationTimestamp": "2023-11-14T22:14:40Z"},
        "status": {"state": "online", "lastOnlineTime": "2023-11-14T22:14:40Z"},
    },
    DEVICE_HISTORIES: {"metadata": {"name": "hall", "namespace": "default"}, "status": {"held": 10, "dropped": 2}},
}  # fmt: skip
"""What other parts of the cloud provide."""

GOLDEN = Path(__file__).with_name("kubectl_tables.txt")
"""What is asked for, the headings and the row as ``-o wide`` shows them; headings with a star are shown by that only.

The columns are those of Kubernetes 1.33 (``pkg/printers/internalversion``), which prints what kubectl shows.
"""


def golden() -> dict[str, tuple[str, str]]:
    blocks = (block.split("\n") for block in GOLDEN.read_text().strip().split("\n\n"))
    return {asked: (heading, row) for asked, heading, row in blocks}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    registry = Registry(MemoryStore(), clock=lambda: MADE, new_uid=lambda: Uid("some-uid"))
    for resource, body in VIRTUAL.items():
        registry.provide(resource, partial(_provided, body))
    async with serving(tmp_path, registry=registry) as running:
        yield running


def _provided(body: Body) -> list[Body]:
    return [deepcopy(body)]


async def make(server: RunningServer, kubectl: Kubectl) -> None:
    """Make an object of each kind, with the status that its owner would report."""
    documents = [*samples(), *yaml.safe_load_all(DOCUMENTS)]
    pump = documents.pop()
    for some in (documents, [pump]):  # its kind is there once its definition is
        await kubectl.ok("create", "-f", "-", stdin=yaml.safe_dump_all(some))
    for body in documents:
        if "status" in body:
            kind = next(each for each in server.registry.kinds if each.kind == body["kind"])
            namespace = "default" if kind.namespaced else ""
            name, status = body["metadata"]["name"], {"status": body["status"]}
            await server.client.patch(kind.resource, namespace, name, status, subresource="status")
    server.registry.clock = lambda: SEEN


def tables(text: str) -> list[tuple[str, ...]]:
    """Take kubectl's tables apart: a blank line ends each, and columns begin where their headings do."""
    return [tuple(map(" | ".join, _cells(block.splitlines()))) for block in text.strip().split("\n\n")]


def _cells(lines: list[str]) -> list[list[str]]:
    starts = [match.start() for match in re.finditer(r"(?<!\S)(?<!\S )\S", lines[0])]
    ends = [*starts[1:], None]
    return [[line[start:end].strip() or '""' for start, end in zip(starts, ends, strict=True)] for line in lines]


def narrow(heading: str, row: str) -> tuple[str, str]:
    """Return what is left of a golden table without ``-o wide``."""
    pairs = zip(heading.split(" | "), row.split(" | "), strict=True)
    shown = [pair for pair in pairs if not pair[0].endswith("*")]
    return " | ".join(name for name, _ in shown), " | ".join(cell for _, cell in shown)


def asked_as(kind: Kind) -> str:
    """Return what kubectl calls a kind of one group and version."""
    return f"{kind.plural}.{kind.version}.{kind.group}" if kind.group else kind.plural


async def test_get_shows_the_columns_of_every_kind(server: RunningServer, tmp_path: Path) -> None:
    kubectl, expected = Kubectl(server.kubeconfig(), tmp_path), golden()
    await make(server, kubectl)
    wide = tables(await kubectl.ok("get", "-o", "wide", *expected))
    assert wide == [(heading.replace("*", ""), row) for heading, row in expected.values()]
    assert tables(await kubectl.ok("get", *expected)) == [narrow(*each) for each in expected.values()]
    assert [asked.partition("/")[0] for asked in expected] == [asked_as(kind) for kind in server.registry.kinds]
