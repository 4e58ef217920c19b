"""What charts in the field are made of, applied with an unmodified kubectl, on its own side and on the server's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloudcore.apiserver.admission import admission_chain
from tests.support.apiservers import RunningServer, serving
from tests.support.kubectl import Kubectl
from tests.support.registries import make_registry

pytestmark = pytest.mark.e2e

CHART = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: cache, labels: {app.kubernetes.io/managed-by: Helm}}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: cache}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: cache, namespace: default}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cache}
spec: {policyTypes: [Ingress], ingress: [{ports: [{port: 30000, endPort: 30010}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cache-headless}
spec: {clusterIP: None, publishNotReadyAddresses: true, ports: [{port: 6379, nodePort: null}], selector: {app: cache}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cache}
spec:
  replicas: 3
  serviceName: cache-headless
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}, annotations: {checksum/config: abc}}
    spec:
      securityContext: {fsGroup: 1001, supplementalGroups: [], sysctls: []}
      serviceAccountName: cache
      affinity: {podAffinity: null, podAntiAffinity: {}}
      containers:
      - name: cache
        image: cache:7
        resources: {limits: {cpu: 150m, memory: 192Mi}, requests: {cpu: 0.1}}
        env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
        readinessProbe: {grpc: {port: 6379}}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
        volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp, subPath: cache}]
      volumes: [{name: tmp, emptyDir: {medium: Memory}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 8Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: post-install}}
spec:
  completionMode: Indexed
  completions: 2
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {name: cache, namespace: default}
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with serving(tmp_path, registry=make_registry(admission_chain())) as running:
        yield running


async def stored(kubectl: Kubectl) -> dict[str, Any]:
    listed = await kubectl.json("get", "-f", str(chart_file(kubectl)))
    return {f"{each['kind']}/{each['metadata']['name']}": each["spec"] for each in listed["items"] if "spec" in each}


def chart_file(kubectl: Kubectl) -> Path:
    return kubectl.home / "chart.yaml"


async def test_a_chart_is_applied_on_either_side_and_nothing_of_it_moves(kubectl: Kubectl) -> None:
    path = chart_file(kubectl)
    path.write_text(CHART)
    assert (await kubectl.ok("apply", "-f", str(path))).count("created") == CHART.count("\nkind:")
    before = await stored(kubectl)
    await kubectl.ok("apply", "-f", str(path))
    assert await stored(kubectl) == before
    assert await kubectl.ok("diff", "-f", str(path)) == ""
    for _ in range(2):
        # The first time kubectl turns what it has applied itself into what it applies on the server's side.
        outcome = await kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(path))
        assert outcome.code == 0
        assert "failed to re-apply" not in outcome.err
        assert await stored(kubectl) == before
    await kubectl.ok("delete", "-f", str(path))


async def test_what_kubectl_prints_of_parts_of_objects_and_of_dry_runs(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "deployment", "web", "--image=nginx", "--replicas=2")
    lines = (await kubectl.ok("get", "deployment", "web", "--subresource=scale")).splitlines()
    assert lines[0].split() == ["NAME", "DESIRED", "AVAILABLE", "AGE"]
    assert lines[1].split()[:3] == ["web", "2", "0"]
    tried = json.loads(await kubectl.ok("create", "deployment", "x", "--image=y", "--dry-run=server", "-o", "json"))
    assert tried["status"] == {}
    assert "resourceVersion" not in tried["metadata"]
    explained = await kubectl.ok("explain", "deployment")
    assert "enum" not in explained.partition("spec\t")[0]
