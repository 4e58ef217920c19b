"""An unmodified kubectl applies on the server's side."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.kindsamples import samples
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.e2e

CONFIGMAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: big}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: nginx, ports: [{containerPort: 80}]}
"""
APPLY = ("apply", "--server-side", "-f", "-")


async def managers(kubectl: Kubectl, what: str) -> dict[str, Any]:
    shown = yaml.safe_load(await kubectl.ok("get", what, "-o", "yaml", "--show-managed-fields"))
    return {f"{each['manager']}/{each['operation']}": each["fieldsV1"] for each in shown["metadata"]["managedFields"]}


async def test_apply_creates_changes_and_removes(kubectl: Kubectl) -> None:
    assert "serverside-applied" in await kubectl.ok(*APPLY, stdin=CONFIGMAP)
    await kubectl.ok(*APPLY, stdin=CONFIGMAP.replace("colour: blue, size: big", "colour: red"))
    assert (await kubectl.json("get", "cm", "settings"))["data"] == {"colour": "red"}
    assert await managers(kubectl, "cm/settings") == {"kubectl/Apply": {"f:data": {"f:colour": {}}}}
    assert "managedFields" not in await kubectl.ok("get", "cm", "settings", "-o", "yaml")


async def test_a_conflict_is_told_and_forced(kubectl: Kubectl) -> None:
    await kubectl.ok(*APPLY, "--field-manager=ann", stdin=CONFIGMAP)
    outcome = await kubectl.run(*APPLY, "--field-manager=bob", stdin=CONFIGMAP.replace("blue", "red"))
    assert outcome.code == 1
    assert 'Apply failed with 1 conflict: conflict with "ann": .data.colour' in outcome.err
    assert "--force-conflicts" in outcome.err
    await kubectl.ok(*APPLY, "--field-manager=bob", "--force-conflicts", stdin=CONFIGMAP.replace("blue", "red"))
    assert (await managers(kubectl, "cm/settings"))["ann/Apply"] == {"f:data": {"f:size": {}}}


async def test_each_command_is_noted_under_its_name(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=DEPLOYMENT)
    await kubectl.ok("label", "deployment/web", "tier=front")
    await kubectl.ok("set", "image", "deployment/web", "main=nginx:2")
    await kubectl.ok("scale", "deployment/web", "--replicas=3")
    noted = await managers(kubectl, "deployment/web")
    assert set(noted) == {"kubectl-create/Update", "kubectl-label/Update", "kubectl-set/Update", "kubectl/Update"}
    assert noted["kubectl/Update"] == {"f:spec": {"f:replicas": {}}}
    image: dict[str, Any] = {"f:containers": {'k:{"name":"main"}': {"f:image": {}}}}
    assert noted["kubectl-set/Update"] == {"f:spec": {"f:template": {"f:spec": image}}}


async def test_one_who_applied_on_the_clients_side_goes_over(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "kubectl-client-side-apply/Update" in await managers(kubectl, "deployment/web")
    without_ports = DEPLOYMENT.replace(", ports: [{containerPort: 80}]", "")
    await kubectl.ok(*APPLY, stdin=without_ports)
    assert "kubectl-client-side-apply/Update" not in await managers(kubectl, "deployment/web")
    containers = (await kubectl.json("get", "deployment", "web"))["spec"]["template"]["spec"]["containers"]
    assert "ports" not in containers[0]


async def test_diff_on_the_servers_side(kubectl: Kubectl) -> None:
    await kubectl.ok(*APPLY, stdin=CONFIGMAP)
    assert (await kubectl.run("diff", "--server-side", "-f", "-", stdin=CONFIGMAP)).code == 0
    outcome = await kubectl.run("diff", "--server-side", "-f", "-", stdin=CONFIGMAP.replace("blue", "green"))
    assert outcome.code == 1
    assert "+  colour: green" in outcome.out
    assert (await kubectl.json("get", "cm", "settings"))["data"]["colour"] == "blue"


async def test_dry_run_applies_nothing(kubectl: Kubectl) -> None:
    assert "server dry run" in await kubectl.ok(*APPLY, "--dry-run=server", stdin=CONFIGMAP)
    assert "NotFound" in (await kubectl.run("get", "cm", "settings")).err


async def test_every_kind_is_applied_twice_and_written_once(kubectl: Kubectl) -> None:
    documents = yaml.safe_dump_all(samples())
    await kubectl.ok(*APPLY, stdin=documents)
    names = ",".join(sorted({body["kind"].lower() for body in samples()}))
    before = [item["metadata"]["resourceVersion"] for item in (await kubectl.json("get", names))["items"]]
    await kubectl.ok(*APPLY, stdin=documents)
    assert [item["metadata"]["resourceVersion"] for item in (await kubectl.json("get", names))["items"]] == before
