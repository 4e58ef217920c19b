"""Who may make which mirrors of static pods."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.admission import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Forbidden
from protocol.objects.keys import Body
from tests.support.registries import a_pod, make_registry

OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}
NODE = Context("system:node:n1", groups=("system:nodes",))
PERSON = Context("someone", groups=("system:masters",))


@pytest.fixture
async def registry() -> Registry:
    made = make_registry(admission=admission_chain())
    await bootstrap(made)
    return made


def mirror(*, mirrors: str = "h", owners: tuple[Body, ...] = (OWNER,), **spec: Any) -> Body:
    pod = a_pod("web-n1", **{"nodeName": "n1", **spec})
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": mirrors} if mirrors else {}
    pod["metadata"]["ownerReferences"] = list(owners)
    return pod


async def make(registry: Registry, pod: Body, context: Context) -> Body:
    target = Target(registry.kinds.of("pods"), "default", "")
    return (await create(registry, target, pod, context)).decode()


async def test_a_node_makes_mirrors_of_its_own_and_they_have_no_account(registry: Registry) -> None:
    stored = await make(registry, mirror(), NODE)
    assert "serviceAccountName" not in stored["spec"]
    assert "volumes" not in stored["spec"]


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        (mirror(mirrors=""), "can only create mirror pods"),
        (mirror(nodeName="n2"), "spec.nodeName set to itself"),
        (mirror(nodeName=""), "spec.nodeName set to itself"),
        (mirror(owners=()), "its own Node owns"),
        (mirror(owners=({**OWNER, "name": "n2"},)), "its own Node owns"),
        (mirror(owners=(OWNER, {**OWNER, "kind": "Deployment", "apiVersion": "apps/v1"})), "its own Node owns"),
    ],
)
async def test_a_node_makes_no_other_pods(registry: Registry, pod: Body, message: str) -> None:
    with pytest.raises(Forbidden, match=message):
        await make(registry, pod, NODE)


@pytest.mark.parametrize(
    "spec",
    [
        {"serviceAccountName": "default"},
        {"imagePullSecrets": [{"name": "s"}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
        {"volumes": [{"name": "v", "configMap": {"name": "s"}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "s"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
    ],
)
@pytest.mark.parametrize("context", [NODE, PERSON], ids=["node", "person"])
async def test_a_mirror_names_nothing_that_could_be_read_through_it(
    registry: Registry, spec: dict[str, Any], context: Context
) -> None:
    with pytest.raises(Forbidden, match="may not reference"):
        await make(registry, mirror(**spec), context)


async def test_other_pods_may_name_what_they_like(registry: Registry) -> None:
    assert await make(registry, mirror(mirrors="", imagePullSecrets=[{"name": "s"}]), PERSON)
