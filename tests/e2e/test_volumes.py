"""Claims on a device: a claim that waits for its pod is bound where that goes, and what was written there stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.objects.keys import Body
from tests.support.clusters import QUICK, Cluster, config_map, pod, running_cluster
from tests.support.kubectl import Kubectl
from tests.support.volumes import CLAIMS, claim, storage_class, volume
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WRITES = "n=$(cat data/count 2>/dev/null || echo 0); echo $((n + 1)) > data/count; sleep 3600"


def user(name: str) -> Body:
    body = pod(name, WRITES)
    body["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    body["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return body


async def test_data_survives_its_pod(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    async with running_cluster(tmp_path / "cluster", *QUICK) as cluster:
        await cluster.add_edge("edge-1")
        await cluster.add_edge("edge-2")
        kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path)
        objects = [
            storage_class("local", default=True, volumeBindingMode="WaitForFirstConsumer"),
            volume(node="edge-2", path=str(disk), storageClassName="local"),
            claim(storageClassName=None),
        ]
        await kubectl.ok("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        assert "Pending" in await kubectl.ok("get", "pvc", "data")
        await cluster.api.create("pods", user("first"))
        assert (await cluster.pod_is("first"))["spec"]["nodeName"] == "edge-2"
        await aeventually(lambda: (disk / "count").exists() and (disk / "count").read_text() == "1\n")
        tables = await kubectl.ok("get", "pv,pvc")
        assert "default/data" in tables
        assert tables.count("Bound") == 2

        # A claim in use goes only with its pod; here it stays, and so does what is in it.
        await cluster.api.delete("pods", "default", "first", grace_s=0)
        await cluster.api.create("pods", user("second"))
        await cluster.pod_is("second")
        await aeventually(lambda: (disk / "count").read_text() == "2\n")
        await kubectl.ok("delete", "pvc", "data", "--wait=false")
        assert "Terminating" in await kubectl.ok("get", "pvc", "data")
        await cluster.api.delete("pods", "default", "second", grace_s=0)

        async def given_back() -> bool:
            return not await cluster.api.list(CLAIMS) and "Released" in await kubectl.ok("get", "pv", "pv-1")

        await aeventually(given_back, within_s=30, what="the claim has gone and the volume is given back")
        assert (disk / "count").read_text() == "2\n"
        await volumes_follow_labels_and_say_what_they_lack(cluster, kubectl)


async def volumes_follow_labels_and_say_what_they_lack(cluster: Cluster, kubectl: Kubectl) -> None:
    """On the same cluster: a volume of the pod's own labels, and one that waits for its ConfigMap."""
    body = pod("watcher", "sleep 3600", nodeName="edge-1")
    fields = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    body["spec"]["volumes"] = [
        {"name": "own", "downwardAPI": fields},
        {"name": "late", "configMap": {"name": "late"}},
    ]
    created = await cluster.api.create("pods", body)

    async def told() -> bool:
        return 'MountVolume.SetUp failed for volume "late" : configmap "late" not found' in await kubectl.ok(
            "get", "events", "--field-selector=reason=FailedMount", "-o", "jsonpath={.items[*].message}"
        )

    await aeventually(told, within_s=30, what="FailedMount")
    await cluster.api.create("configmaps", config_map("late", k="v"))
    await cluster.pod_is("watcher")
    root = cluster.edges["edge-1"].data_dir
    (labels,) = root.glob(f"**/{created['metadata']['uid']}/volumes/own/labels")
    await kubectl.ok("label", "pod", "watcher", "tier=gold")
    await aeventually(lambda: 'tier="gold"' in labels.read_text(), within_s=15, what="the label shows")
