"""A pod's service account on the device: the unmodified in-cluster client, with the cloud and without, and after it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from edgecore.node.identity import DataFolder
from examples.demo.processes import Edge, Gate
from protocol.objects.keys import Body
from tests.support.clusters import (
    QUICK,
    Cluster,
    config_map,
    link_of,
    pod,
    pods_at,
    running_cluster,
    status_of,
)
from tests.support.kubectl import find_kubectl
from tests.support.waiting import aeventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="the fixed path of in-cluster clients needs a mount, which needs root"
    ),
]

RBAC = "rbac.authorization.k8s.io"
CLIENT = """
import json, os, sys, time
import kubernetes
from kubernetes.client.rest import ApiException
kubernetes.config.load_incluster_config()
api = kubernetes.client.CoreV1Api()
namespace = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
while True:
    said = {}
    for name, ask in (("configmaps", api.list_namespaced_config_map), ("secrets", api.list_namespaced_secret)):
        try:
            said[name] = sorted(each.metadata.name for each in ask(namespace).items)
        except ApiException as error:
            said[name] = error.status
        except Exception as error:
            said[name] = repr(error)
    print(json.dumps(said), flush=True)
    time.sleep(0.5)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("identity"), *QUICK) as running:
        yield running


def said(edge: Edge, name: str) -> list[Body]:
    """Return what the pod has printed."""
    uid = pods_at(edge).get(name, {}).get("uid", "none")
    lines: list[Body] = []
    for path in sorted((edge.data_dir / "pods" / uid / "logs" / "main").glob("*.log")):
        for line in path.read_text().splitlines():
            start = line.find("{")
            if start >= 0 and line.endswith("}"):
                lines.append(json.loads(line[start:]))
    return lines


async def says(edge: Edge, name: str, wanted: Body) -> None:
    before = len(said(edge, name))
    await aeventually(lambda: wanted in said(edge, name)[before:], within_s=40, what=f"{name} says {wanted}")


async def prepare(cluster: Cluster) -> None:
    metadata = {"name": "reader", "namespace": "default"}
    api = cluster.api
    await api.create("serviceaccounts", {"metadata": metadata})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    await api.create(f"roles.{RBAC}", {"metadata": metadata, "rules": rules})
    role = {"apiGroup": RBAC, "kind": "Role", "name": "reader"}
    subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}]
    await api.create(f"rolebindings.{RBAC}", {"metadata": metadata, "roleRef": role, "subjects": subjects})
    await api.create("configmaps", config_map("shown", key="value"))


def token_on_disk(edge: Edge) -> list[str]:
    folder = DataFolder(edge.data_dir).tokens
    return [row["token"] for path in folder.glob("*.json") for row in json.loads(path.read_bytes()) if row["token"]]


async def whoami(cluster: Cluster, token: str) -> Body:
    """Ask the cloud whose token this is."""
    review = {"spec": {"token": token}}
    answer: Body = (await cluster.api.create("tokenreviews.authentication.k8s.io", {"metadata": {}, **review}))[
        "status"
    ]
    return answer


async def test_a_pod_is_its_service_account_on_the_device_and_in_the_cloud(cluster: Cluster) -> None:
    await prepare(cluster)
    async with Gate(cluster.cloud.ports["ws_port"]) as gate:
        edge = await cluster.add_edge("own-1", gate=gate)
        await cluster.api.create("pods", client_pod())
        await cluster.pod_is("client", "Running")
        # "kube-root-ca.crt" and "shown" are what the pod names or its volume holds; others are not on the device.
        await says(edge, "client", {"configmaps": ["kube-root-ca.crt", "shown"], "secrets": 403})

        (token,) = token_on_disk(edge)
        status = await whoami(cluster, token)
        assert status["user"]["username"] == "system:serviceaccount:default:reader"
        assert status["user"]["extra"]["authentication.kubernetes.io/node-name"] == ["own-1"]
        (file,) = DataFolder(edge.data_dir).tokens.glob("*.json")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

        await _offline_and_after_a_crash(edge, gate)
        await _administrator_reads_and_does_not_write(edge)
        gate.reopen()
        await aeventually(lambda: link_of(edge).get("phase") == "connected", within_s=60, what="the link is back")

        await cluster.api.delete(f"rolebindings.{RBAC}", "default", "reader")
        await says(edge, "client", {"configmaps": 403, "secrets": 403})
        await cluster.api.delete("serviceaccounts", "default", "reader")
        await says(edge, "client", {"configmaps": 401, "secrets": 401})
        assert token_on_disk(edge) == []
        assert not (await whoami(cluster, token)).get("authenticated")
        await cluster.api.delete("pods", "default", "client", grace_s=0)
        await edge.daemon.stop()


def client_pod() -> Body:
    arguments: dict[str, Any] = {
        "command": [sys.executable, "-c", CLIENT],
        "env": [{"name": "NAME", "valueFrom": {"configMapKeyRef": {"name": "shown", "key": "key"}}}],
    }
    return pod(
        "client",
        "",
        container=arguments,
        serviceAccountName="reader",
        automountServiceAccountToken=True,
        nodeName="own-1",
    )


async def _offline_and_after_a_crash(edge: Edge, gate: Gate) -> None:
    gate.shut()
    await aeventually(lambda: link_of(edge).get("phase") != "connected", within_s=60, what="the link is cut")
    await says(edge, "client", {"configmaps": ["kube-root-ca.crt", "shown"], "secrets": 403})
    port = address(edge).rpartition(":")[2]
    await edge.daemon.kill()
    await edge.start(f"--hub=wss://127.0.0.1:{gate.port}", f"--metaserver-port={port}")
    await says(edge, "client", {"configmaps": ["kube-root-ca.crt", "shown"], "secrets": 403})


def address(edge: Edge) -> str:
    return str(status_of(edge)["live"]["metaserver"]["address"])


async def _administrator_reads_and_does_not_write(edge: Edge) -> None:
    kubeconfig = DataFolder(edge.data_dir).metaserver / "kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    listed = await _kubectl(edge, kubeconfig, "get", "pods", "-A", "-o", "name")
    assert listed.split() == ["pod/client"]
    assert "forbidden" in (await _kubectl(edge, kubeconfig, "delete", "pod", "client")).lower()


async def _kubectl(edge: Edge, kubeconfig: Path, *args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        find_kubectl(),
        f"--kubeconfig={kubeconfig}",
        f"--cache-dir={edge.data_dir / 'cache'}",
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode()
