"""An unmodified kubectl does its work against the API server."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from protocol.objects.keys import Body
from tests.support.apiservers import RunningServer
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.e2e

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "nginx:alpine", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
"""
CONFIGMAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: big}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: solo, labels: {app: solo}}
spec: {containers: [{name: main, image: x}]}
"""


async def set_status(server: RunningServer, resource: str, name: str, status: Body) -> None:
    """Report a status, as a controller or a node would."""
    await server.client.patch(resource, "default", name, {"status": status}, subresource="status")


async def test_get_shows_tables_and_every_output_form(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT + "---" + POD)
    table = await kubectl.ok("get", "deployments,pods")
    assert "NAME                  READY   UP-TO-DATE   AVAILABLE   AGE" in table
    assert "pod/solo   0/1     Pending" in table
    assert "NOMINATED NODE" in await kubectl.ok("get", "pods", "-o", "wide")
    assert "nginx:alpine" in await kubectl.ok("get", "deploy", "-o", "wide")
    assert await kubectl.ok("get", "po", "-o", "name") == "pod/solo\n"
    assert "kind: Pod" in await kubectl.ok("get", "pod", "solo", "-o", "yaml")
    assert (await kubectl.json("get", "pods"))["items"][0]["metadata"]["name"] == "solo"
    assert await kubectl.ok("get", "pod", "solo", "-o", "jsonpath={.spec.containers[0].image}") == "x"
    assert "solo" in await kubectl.ok("get", "all", "-l", "app=solo")
    assert "solo" not in await kubectl.ok("get", "pods", "--field-selector", "metadata.name!=solo", "--all-namespaces")


async def test_get_watch_follows_changes(server: RunningServer, kubectl: Kubectl) -> None:
    process = await kubectl.start("get", "configmaps", "--watch")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            await server.client.create(
                "configmaps", {"metadata": {"name": "first", "namespace": "default"}, "data": {"a": "1"}}
            )
            lines = [await process.stdout.readline() for _ in range(2)]
            assert lines[0].split()[:2] == [b"NAME", b"DATA"]
            assert lines[1].split()[:2] == [b"first", b"1"]
            await server.client.patch("configmaps", "default", "first", {"data": {"b": "2"}})
            assert (await process.stdout.readline()).split()[:2] == [b"first", b"2"]
    finally:
        process.kill()
        await process.wait()


async def test_describe(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT + "---" + POD)
    await server.client.create("nodes", {"metadata": {"name": "edge-1"}})
    assert "Image:" in await kubectl.ok("describe", "pod", "solo")
    assert "Replicas:" in await kubectl.ok("describe", "deployment", "web")
    assert "edge-1" in await kubectl.ok("describe", "node", "edge-1")
    assert "kube-system" in await kubectl.ok("describe", "namespaces")


async def test_apply_creates_updates_and_removes_fields(kubectl: Kubectl) -> None:
    assert "created" in await kubectl.ok("apply", "-f", "-", stdin=CONFIGMAP)
    assert "unchanged" in await kubectl.ok("apply", "-f", "-", stdin=CONFIGMAP)
    await kubectl.ok("patch", "configmap", "settings", "-p", '{"data":{"theirs":"kept"}}')
    changed = CONFIGMAP.replace("colour: blue, size: big", "colour: red")
    assert "configured" in await kubectl.ok("apply", "-f", "-", stdin=changed)
    assert (await kubectl.json("get", "cm", "settings"))["data"] == {"colour": "red", "theirs": "kept"}


async def test_apply_merges_lists_by_their_keys(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl.ok("set", "env", "deployment/web", "C=3")
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT.replace(', {name: B, value: "2"}', ""))
    containers = (await kubectl.json("get", "deployment", "web"))["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in containers[0]["env"]} == {"A", "C"}


async def test_dry_run_and_diff_store_nothing(kubectl: Kubectl) -> None:
    assert "server dry run" in await kubectl.ok("apply", "--dry-run=server", "-f", "-", stdin=CONFIGMAP)
    assert "NotFound" in (await kubectl.run("get", "cm", "settings")).err
    await kubectl.ok("apply", "-f", "-", stdin=CONFIGMAP)
    outcome = await kubectl.run("diff", "-f", "-", stdin=CONFIGMAP.replace("blue", "green"))
    assert outcome.code == 1
    assert "+  colour: green" in outcome.out
    assert (await kubectl.json("get", "cm", "settings"))["data"]["colour"] == "blue"


async def test_create_in_its_many_forms(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=CONFIGMAP)
    assert "AlreadyExists" in (await kubectl.run("create", "-f", "-", stdin=CONFIGMAP)).err
    await kubectl.ok("create", "namespace", "other")
    await kubectl.ok("create", "configmap", "made", "--from-literal=k=v", "--namespace=other")
    await kubectl.ok("create", "secret", "generic", "hidden", "--from-literal=k=v")
    await kubectl.ok("create", "serviceaccount", "robot")
    await kubectl.ok("create", "deployment", "quick", "--image=x", "--replicas=0")
    await kubectl.ok("run", "once", "--image=x", "--restart=Never")
    await kubectl.ok("expose", "deployment", "quick", "--port=80")
    assert (await kubectl.json("get", "cm", "made", "-n", "other"))["data"] == {"k": "v"}
    assert (await kubectl.json("get", "secret", "hidden"))["data"] == {"k": "dg=="}
    assert (await kubectl.json("get", "deployment", "quick"))["spec"]["replicas"] == 0
    assert (await kubectl.json("get", "service", "quick"))["spec"]["ports"][0]["port"] == 80


async def test_replace_takes_the_place_of_what_it_read(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=CONFIGMAP)
    stored = await kubectl.json("get", "cm", "settings")
    changed = json.dumps({**stored, "data": {"colour": "red"}})
    await kubectl.ok("replace", "-f", "-", stdin=changed)
    assert (await kubectl.json("get", "cm", "settings"))["data"] == {"colour": "red"}
    stale = await kubectl.run("replace", "-f", "-", stdin=changed)
    assert stale.code == 1
    assert "Error from server (Conflict)" in stale.err
    await kubectl.ok("replace", "--force", "-f", "-", stdin=CONFIGMAP)
    anew = await kubectl.json("get", "cm", "settings")
    assert anew["data"] == {"colour": "blue", "size": "big"}
    assert anew["metadata"]["uid"] != stored["metadata"]["uid"]


async def test_edit_through_an_editor(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl.ok("create", "-f", "-", stdin=CONFIGMAP)
    script = tmp_path / "editor.py"
    script.write_text(
        "import pathlib, sys\np = pathlib.Path(sys.argv[1])\np.write_text(p.read_text().replace('blue', 'red'))\n"
    )
    await kubectl.ok("edit", "configmap", "settings", environment={"KUBE_EDITOR": f"{sys.executable} {script}"})
    assert (await kubectl.json("get", "cm", "settings"))["data"]["colour"] == "red"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", '{"data":{"colour":"red"}}'),
        ("merge", '{"data":{"colour":"red"}}'),
        ("json", '[{"op":"replace","path":"/data/colour","value":"red"}]'),
    ],
)
async def test_patch_of_each_type(kubectl: Kubectl, kind: str, patch: str) -> None:
    await kubectl.ok("create", "-f", "-", stdin=CONFIGMAP)
    await kubectl.ok("patch", "cm", "settings", f"--type={kind}", "-p", patch)
    assert (await kubectl.json("get", "cm", "settings"))["data"] == {"colour": "red", "size": "big"}


async def test_delete_in_its_many_forms(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=CONFIGMAP + "---" + POD + "---" + DEPLOYMENT)
    assert "deleted" in await kubectl.ok("delete", "cm", "settings")
    await server.client.bind(
        "default", "solo", "edge-1", uid=(await kubectl.json("get", "pod", "solo"))["metadata"]["uid"]
    )
    await kubectl.ok("delete", "pod", "solo", "--wait=false")
    assert "Terminating" in await kubectl.ok("get", "pod", "solo")
    assert "force deleted" in await kubectl.ok("delete", "pod", "solo", "--grace-period=0", "--force")
    assert "NotFound" in (await kubectl.run("get", "pod", "solo")).err
    await kubectl.ok("delete", "deployment", "web", "--cascade=orphan", "--wait=false")
    assert (await kubectl.json("get", "deployment", "web"))["metadata"]["finalizers"] == ["orphan"]
    await kubectl.ok("create", "cm", "one")
    await kubectl.ok("delete", "cm", "--all")
    assert await kubectl.ok("get", "cm", "-o", "name") == ""
    assert "NotFound" in (await kubectl.run("delete", "cm", "one")).err


async def test_scale_label_and_annotate(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    await kubectl.ok("scale", "deployment/web", "--replicas=5", "--current-replicas=2")
    await kubectl.ok("label", "deployment/web", "tier=front")
    await kubectl.ok("annotate", "deployment/web", "note=hello world")
    stored = await kubectl.json("get", "deployment", "web")
    assert stored["spec"]["replicas"] == 5
    assert stored["metadata"]["labels"] == {"app": "web", "tier": "front"}
    assert stored["metadata"]["annotations"]["note"] == "hello world"
    await kubectl.ok("label", "deployment/web", "tier-")
    assert "tier" not in (await kubectl.json("get", "deployment", "web"))["metadata"]["labels"]


async def test_wait_and_rollout_status_see_a_status_arrive(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert (await kubectl.run("wait", "--for=condition=Available", "deploy/web", "--timeout=0s")).code == 1
    waiting = await kubectl.start("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    following = await kubectl.start("rollout", "status", "deployment/web", "--timeout=30s")
    assert following.stdout is not None
    assert b"Waiting" in await following.stdout.readline()
    generation = (await server.client.get("deployments.apps", "default", "web"))["metadata"]["generation"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    condition = {"type": "Available", "status": "True", "reason": "Enough", "message": ""}
    status = {"observedGeneration": generation, **counts, "conditions": [condition]}
    await set_status(server, "deployments.apps", "web", status)
    out, _ = await waiting.communicate()
    assert (waiting.returncode, out) == (0, b"deployment.apps/web condition met\n")
    out, _ = await following.communicate()
    assert following.returncode == 0
    assert b"successfully rolled out" in out


async def test_rollout_history_undo_and_restart(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    deployment = await server.client.get("deployments.apps", "default", "web")
    for revision, image in (("1", "nginx:old"), ("2", "nginx:alpine")):
        await server.client.create("replicasets.apps", replicaset_of(deployment, revision, image))
    annotations = {"annotations": {"deployment.kubernetes.io/revision": "2"}}
    await server.client.patch("deployments.apps", "default", "web", {"metadata": annotations})
    history = await kubectl.ok("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:4]] == ["1", "2"]
    await kubectl.ok("rollout", "undo", "deployment/web", "--to-revision=1")
    template = (await kubectl.json("get", "deployment", "web"))["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "nginx:old"
    await kubectl.ok("rollout", "restart", "deployment/web")
    template = (await kubectl.json("get", "deployment", "web"))["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def replicaset_of(deployment: Body, revision: str, image: str) -> Body:
    """Return the ReplicaSet that the deployment controller would make for a revision."""
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    template["spec"]["containers"][0]["image"] = image
    template["metadata"]["labels"]["pod-template-hash"] = revision
    metadata = deployment["metadata"]
    owner = {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": metadata["uid"], "controller": True,
    }  # fmt: skip
    return {
        "metadata": {
            "name": f"web-{revision}",
            "namespace": "default",
            "labels": template["metadata"]["labels"],
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": template["metadata"]["labels"]},
            "template": template,
        },
    }


async def test_events_are_shown_with_their_object(server: RunningServer, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=POD)
    pod = await server.client.get("pods", "default", "solo")
    about = {"kind": "Pod", "name": "solo", "namespace": "default", "uid": pod["metadata"]["uid"], "apiVersion": "v1"}
    event = {
        "metadata": {"name": "solo.1", "namespace": "default"}, "involvedObject": about, "type": "Warning",
        "reason": "FailedScheduling", "message": "0/0 nodes are available", "count": 1,
        "firstTimestamp": pod["metadata"]["creationTimestamp"], "lastTimestamp": pod["metadata"]["creationTimestamp"],
        "source": {"component": "scheduler"},
    }  # fmt: skip
    await server.client.create("events", event)
    assert "pod/solo" in await kubectl.ok("get", "events")
    assert "Pod/solo" in await kubectl.ok("events", "--for", "pod/solo")
    assert "FailedScheduling" in await kubectl.ok("describe", "pod", "solo")


async def test_explain_reads_our_openapi(kubectl: Kubectl) -> None:
    assert "FIELD: containers <[]Container>" in await kubectl.ok("explain", "pod.spec.containers")
    assert "VERSION:    v1" in await kubectl.ok("explain", "deployment")
    assert "nodelink" in (await kubectl.ok("explain", "nodelinks")).lower()
    old = await kubectl.ok("explain", "deployment.spec.replicas", "--output=plaintext-openapiv2")  # reads protobuf
    assert "FIELD:    replicas <integer>" in old


async def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    resources = await kubectl.ok("api-resources", "-o", "wide")
    for name in ("deployments", "leases", "nodelinks", "runtimeclasses"):
        assert name in resources
    assert "edge.aiokubeedge.io/v1alpha1" in await kubectl.ok("api-versions")
    assert "+aiokubeedge" in await kubectl.ok("version")


async def test_auth_can_i(server: RunningServer, kubectl: Kubectl, tmp_path: Path) -> None:
    assert await kubectl.ok("auth", "can-i", "delete", "nodes") == "yes\n"
    assert "kubernetes-admin" in await kubectl.ok("auth", "whoami")
    assert "[*]" in await kubectl.ok("auth", "can-i", "--list")
    node = Kubectl(server.kubeconfig("system:node:edge-1", "system:nodes"), tmp_path / "node")
    assert (await node.run("auth", "can-i", "list", "secrets")).out.startswith("no")


async def test_a_node_is_held_to_its_slice(server: RunningServer, tmp_path: Path) -> None:
    node = Kubectl(server.kubeconfig("system:node:edge-1", "system:nodes"), tmp_path / "node")
    refused = await node.run("get", "pods")
    assert refused.code == 1
    assert 'User "system:node:edge-1" cannot list resource "pods" in API group ""' in refused.err
    assert await node.ok("get", "pods", "--field-selector=spec.nodeName=edge-1", "-o", "name") == ""


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (CONFIGMAP.replace("\ndata:", "\ndta:"), 'unknown field "dta"'),
        (POD.replace("image: x", "image: x, imge: y"), 'unknown field "spec.containers[0].imge"'),
        (POD.replace("name: main", "name: Not_Valid"), "spec.containers[0].name"),
        (CONFIGMAP.replace("name: settings", "name: Not_Valid"), "metadata.name"),
        (DEPLOYMENT.replace("replicas: 2", "replicas: two"), "replicas"),
    ],
)
async def test_a_wrong_manifest_is_refused_by_field_and_not_stored(kubectl: Kubectl, manifest: str, field: str) -> None:
    refused = await kubectl.run("apply", "-f", "-", stdin=manifest)
    assert refused.code == 1
    assert field in refused.err
    assert await kubectl.ok("get", "cm,pods,deployments", "-o", "name") == ""


async def test_cordon_and_drain(server: RunningServer, kubectl: Kubectl) -> None:
    await server.client.create("nodes", {"metadata": {"name": "edge-1"}})
    await kubectl.ok("apply", "-f", "-", stdin=POD)
    await server.client.bind(
        "default", "solo", "edge-1", uid=(await kubectl.json("get", "pod", "solo"))["metadata"]["uid"]
    )
    await set_status(server, "pods", "solo", {"phase": "Succeeded"})
    await kubectl.ok("drain", "edge-1", "--force", "--timeout=30s")
    assert "SchedulingDisabled" in await kubectl.ok("get", "node", "edge-1")
    assert await kubectl.ok("get", "pods", "-o", "name") == ""
