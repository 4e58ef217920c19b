"""An unmodified kubectl works with every kind, including those served in two versions."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.kindsamples import samples
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.e2e

DESCRIBED = (
    "rc/web", "sts/web", "ds/web", "job/once", "cj/nightly", "hpa/web", "pdb/web", "ing/web", "pvc/data", "pv/disk",
    "netpol/closed", "quota/share", "limits/bounds", "role/shop:reader", "sc/slow", "csr/device",
)  # fmt: skip


def versions(listed: Any) -> dict[str, str]:
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in listed["items"]}


async def test_every_kind_is_applied_described_and_deleted(kubectl: Kubectl) -> None:
    documents = yaml.safe_dump_all(samples())
    created = await kubectl.ok("apply", "-f", "-", stdin=documents)
    assert created.count("created") == len(samples())
    names = ",".join(sorted({body["kind"].lower() for body in samples()}))
    before = versions(await kubectl.json("get", names))
    await kubectl.ok("apply", "-f", "-", stdin=documents)
    # The command says "configured" of lists that defaults fill, here as with any API server; nothing is written.
    assert versions(await kubectl.json("get", names)) == before
    for kind in DESCRIBED:
        assert "Name:" in await kubectl.ok("describe", kind)
    deleted = await kubectl.ok("delete", "--wait=false", "-f", "-", stdin=documents)
    assert deleted.count("deleted") == len(samples())


async def test_the_older_autoscaler_is_read_and_made(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "deployment", "web", "--image=x")
    await kubectl.ok("autoscale", "deployment", "web", "--max=4", "--cpu-percent=50")
    older = await kubectl.json("get", "horizontalpodautoscalers.v1.autoscaling", "web")
    newer = await kubectl.json("get", "hpa", "web")
    assert (older["apiVersion"], newer["apiVersion"]) == ("autoscaling/v1", "autoscaling/v2")
    assert older["spec"]["targetCPUUtilizationPercentage"] == 50
    assert newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50


async def test_kinds_are_made_by_their_commands(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "job", "one", "--image=x")
    await kubectl.ok("create", "cronjob", "often", "--image=x", "--schedule=*/1 * * * *")
    await kubectl.ok("create", "role", "reader", "--verb=get", "--resource=pods")
    await kubectl.ok("create", "rolebinding", "readers", "--role=reader", "--user=ann")
    await kubectl.ok("create", "clusterrole", "all", "--verb=get", "--resource=nodes")
    await kubectl.ok("create", "clusterrolebinding", "everyone", "--clusterrole=all", "--group=staff")
    await kubectl.ok("create", "ingress", "web", "--rule=shop.example.com/*=web:80")
    await kubectl.ok("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    await kubectl.ok("create", "quota", "share", "--hard=pods=2")
    outcome = await kubectl.run("create", "job", "two", "--image=x")
    assert "Warning: no controller of this server acts on Jobs yet" in outcome.err


async def test_scale_of_every_kind_that_has_it(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump_all(samples()))
    for kind in ("rc/web", "sts/web"):
        await kubectl.ok("scale", kind, "--replicas=3")
        assert (await kubectl.json("get", kind))["spec"]["replicas"] == 3


async def test_a_certificate_request_is_approved_and_denied(kubectl: Kubectl) -> None:
    request = next(body for body in samples() if body["kind"] == "CertificateSigningRequest")
    other = {**request, "metadata": {"name": "other"}}
    await kubectl.ok("create", "-f", "-", stdin=yaml.safe_dump_all([request, other]))
    await kubectl.ok("certificate", "approve", "device")
    await kubectl.ok("certificate", "deny", "other")
    shown = await kubectl.ok("get", "csr")
    assert [line.split()[-1] for line in shown.splitlines()[1:]] == ["Approved", "Denied"]


async def test_resources_and_explanations_cover_every_kind(kubectl: Kubectl) -> None:
    listed = await kubectl.ok("api-resources", "--no-headers")
    for body in samples():
        assert body["kind"] in listed
        assert "FIELDS:" in await kubectl.ok("explain", body["kind"].lower(), f"--api-version={body['apiVersion']}")
