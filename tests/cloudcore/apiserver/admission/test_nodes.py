from __future__ import annotations

from typing import Any, cast

import pytest

from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.admission.nodes import NodeIdentity
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import Forbidden
from protocol.objects.keys import Body
from tests.support.registries import make_registry, target

PINNED = {"edge.aiokubeedge.io/instance-id": "i-1", "edge.aiokubeedge.io/certificate": "ab"}


def a_node(annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": "edge-1", "annotations": dict(annotations or {})}}


@pytest.mark.parametrize("user", ["kubernetes-admin", "system:node:edge-1", "system:serviceaccount:ops:labeller"])
async def test_nobody_pins_or_unpins_a_node_through_the_api(registry: Registry, client: LocalClient, user: str) -> None:
    context, node = Context(user), target(registry, "nodes", name="edge-1")
    with pytest.raises(Forbidden, match="is set when a node joins"):
        await create(registry, target(registry, "nodes"), a_node(PINNED), context)
    await client.create("nodes", a_node(PINNED))
    changed = {**PINNED, "edge.aiokubeedge.io/certificate": "cd"}
    with pytest.raises(Forbidden):
        await update(registry, node, a_node(changed), context)
    kept = await update(registry, node, a_node({"note": "x"}), context)
    assert kept.decode()["metadata"]["annotations"] == {"note": "x", **PINNED}


async def test_an_administrator_repins_a_node_and_unpins_none_by_leaving_out(
    registry: Registry, client: LocalClient
) -> None:
    """A cloud that has this API server for its store joins devices with an administrator's rights."""
    context, node = Context("kubernetes-admin", groups=("system:masters",)), target(registry, "nodes", name="edge-1")
    await create(registry, target(registry, "nodes"), a_node(PINNED), context)
    changed = {**PINNED, "edge.aiokubeedge.io/certificate": "cd"}
    assert (await update(registry, node, a_node(changed), context)).decode()["metadata"]["annotations"] == changed
    kept = await update(registry, node, a_node({"note": "x"}), context)
    assert kept.decode()["metadata"]["annotations"] == {"note": "x", **changed}


@pytest.mark.parametrize(("group", "may"), [("edge.aiokubeedge.io", True), ("", False)])
async def test_a_role_gives_the_right_to_pin(group: str, may: bool) -> None:
    class Granted:
        def allows(self, context: Context, asked: Attributes) -> bool:
            return context.user == "member" and (asked.verb, asked.resource, asked.group) == ("pin", "nodes", group)

    registry = make_registry(AdmissionChain((NodeIdentity(cast(Rights, Granted())),)))
    creating = create(registry, target(registry, "nodes"), a_node(PINNED), Context("member"))
    if may:
        assert (await creating).decode()["metadata"]["annotations"] == PINNED
    else:
        with pytest.raises(Forbidden):
            await creating


async def test_the_cloud_itself_pins_a_node(client: LocalClient) -> None:
    await client.create("nodes", a_node())
    patched = await client.patch("nodes", "", "edge-1", {"metadata": {"annotations": PINNED}})
    assert patched["metadata"]["annotations"] == PINNED


NODE = Context("system:node:edge-1", ("system:nodes",))
TRAFFIC = "edge.aiokubeedge.io/traffic"


@pytest.fixture
async def lease(client: LocalClient) -> Body:
    """The Lease of edge-1 as the hub makes it."""
    node = await client.create("nodes", a_node())
    owner = {"apiVersion": "v1", "kind": "Node", "name": "edge-1", "uid": node["metadata"]["uid"]}
    metadata = {
        "name": "edge-1",
        "namespace": "kube-node-lease",
        "ownerReferences": [owner],
        "annotations": {TRAFFIC: "2026-03-01 5"},
    }
    spec = {"holderIdentity": "edge-1", "leaseDurationSeconds": 40}
    return await client.create("leases.coordination.k8s.io", {"metadata": metadata, "spec": spec})


async def rewrite(registry: Registry, lease: Body, context: Context = NODE, **metadata: Any) -> Body:
    spec = metadata.pop("spec", lease["spec"])
    target = Target(registry.kinds.of("leases.coordination.k8s.io"), "kube-node-lease", "edge-1")
    body = {**lease, "metadata": {**lease["metadata"], "resourceVersion": "", **metadata}, "spec": spec}
    return (await update(registry, target, body, context)).decode()


async def test_a_node_renews_its_lease_and_owns_it(registry: Registry, lease: Body) -> None:
    owners = lease["metadata"]["ownerReferences"]
    spec = {**lease["spec"], "leaseDurationSeconds": 3600, "renewTime": "2026-03-01T00:00:00.000000Z"}
    renewed = await rewrite(registry, lease, spec=spec, ownerReferences=[])
    assert renewed["spec"] == spec
    assert "ownerReferences" not in renewed["metadata"] or not renewed["metadata"]["ownerReferences"]
    assert (await rewrite(registry, lease, ownerReferences=owners))["metadata"]["ownerReferences"] == owners


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "Node", "name": "edge-2"},
        {"kind": "Pod", "name": "edge-1"},
        {"kind": "Node", "name": "edge-1", "uid": "of-another"},
    ],
    ids=["another node", "a pod", "a node of its name"],
)
async def test_a_node_gives_its_lease_no_other_owner(registry: Registry, lease: Body, owner: dict[str, str]) -> None:
    foreign = {**lease["metadata"]["ownerReferences"][0], **owner}
    with pytest.raises(Forbidden, match="only its own Node as owner"):
        await rewrite(registry, lease, ownerReferences=[foreign])
    assert (await rewrite(registry, lease, Context("admin"), ownerReferences=[foreign]))["metadata"]["ownerReferences"]
    # What somebody else has put there does not keep the node from renewing.
    await rewrite(registry, lease, ownerReferences=[foreign])


async def test_a_node_cannot_hide_that_it_is_gone(registry: Registry, lease: Body) -> None:
    long = {**lease["spec"], "leaseDurationSeconds": 3601}
    with pytest.raises(Forbidden, match="leaseDurationSeconds above 3600"):
        await rewrite(registry, lease, spec=long)
    await rewrite(registry, lease, Context("admin"), spec=long)
    await rewrite(registry, lease, spec=long)


async def test_a_node_does_not_write_its_own_traffic_bill(registry: Registry, lease: Body) -> None:
    for wanted in ({TRAFFIC: "2026-03-01 0"}, {}):
        with pytest.raises(Forbidden, match="traffic, which the cloud writes"):
            await rewrite(registry, lease, annotations=wanted)
    kept = await rewrite(registry, lease, annotations={**lease["metadata"]["annotations"], "note": "x"})
    assert kept["metadata"]["annotations"]["note"] == "x"
