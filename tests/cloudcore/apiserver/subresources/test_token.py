from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import ApiError, BadRequest, Conflict, Forbidden, Invalid, NotFound
from cloudcore.security.accounttokens import ISSUER, AccountClaims, TokenIssuer, read
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body, Uid
from tests.support.accounttokens import KEYS, NOW
from tests.support.registries import a_pod

ADMIN = Context("admin", ("system:masters",))
NODE = Context("system:node:edge-1", ("system:nodes",))


@pytest.fixture
async def registry() -> Registry:
    registry = Registry(MemoryStore(), clock=lambda: NOW, tokens=TokenIssuer(KEYS))
    await bootstrap(registry)
    return registry


@pytest.fixture
def client(registry: Registry) -> LocalClient:
    return LocalClient(registry)


async def request(registry: Registry, spec: Body, context: Context = ADMIN, name: str = "default", **more: Any) -> Body:
    target = Target(registry.kinds.of("serviceaccounts"), "default", name, "token")
    made = await create_subresource(registry, target, {"spec": spec, **more}, context)
    assert made is not None
    return made


def claims_of(made: Body) -> AccountClaims:
    return read(TokenIssuer(KEYS), made["status"]["token"])


async def bound_pod(client: LocalClient, node: str = "edge-1", **spec: Any) -> Body:
    if node:
        await client.create("nodes", {"metadata": {"name": node}})
    pod = await client.create("pods", a_pod("p", serviceAccountName="default", **spec))
    if node:
        await client.bind("default", "p", node, uid=Uid(pod["metadata"]["uid"]))
    return pod


def bound_to(kind: str, name: str, **more: str) -> Body:
    return {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, **more}}


async def test_a_token_is_for_this_api_for_an_hour_unless_it_is_said_otherwise(
    registry: Registry, client: LocalClient
) -> None:
    made = await request(registry, {})
    claims = claims_of(made)
    account = await client.get("serviceaccounts", "default", "default")
    assert (claims.account.uid, claims.audiences) == (account["metadata"]["uid"], (ISSUER,))
    assert claims.expires_at == NOW + 3600
    assert made["spec"] == {"audiences": [ISSUER], "expirationSeconds": 3600}
    assert (made["kind"], made["metadata"]["name"]) == ("TokenRequest", "default")
    assert made["status"]["expirationTimestamp"] == "2027-01-15T09:00:00Z"
    other = claims_of(await request(registry, {"audiences": ["vault"], "expirationSeconds": 600}))
    assert (other.audiences, other.expires_at) == (("vault",), NOW + 600)


async def test_what_is_too_long_is_shortened_with_a_warning(registry: Registry) -> None:
    context = Context("admin", ("system:masters",))
    made = await request(registry, {"expirationSeconds": 400 * 86_400}, context)
    assert claims_of(made).expires_at == NOW + 365 * 86_400
    assert context.warnings == ["requested expiration of 34560000 seconds shortened to 31536000 seconds"]


async def test_a_token_can_be_bound_to_a_pod_a_secret_or_a_node(registry: Registry, client: LocalClient) -> None:
    pod = await bound_pod(client)
    await client.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
    claims = claims_of(await request(registry, bound_to("Pod", "p", uid=pod["metadata"]["uid"])))
    assert claims.pod is not None
    assert claims.node is not None
    assert (claims.pod.uid, claims.node.name) == (pod["metadata"]["uid"], "edge-1")
    for kind, name, field in (("Secret", "s", "secret"), ("Node", "edge-1", "node")):
        reference = getattr(claims_of(await request(registry, bound_to(kind, name))), field)
        assert reference.name == name


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"expirationSeconds": 599}, Invalid, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**33}, Invalid, "larger than 2^32 seconds"),
        ({"expirationSeconds": "x"}, Invalid, "must be an integer"),
        ({"expirationSeconds": True}, Invalid, "must be an integer"),
        ({"audiences": "x"}, Invalid, "list of strings"),
        ({"audiences": [1]}, Invalid, "list of strings"),
        ({"boundObjectRef": "x"}, Invalid, "reference to an object"),
        (bound_to("ConfigMap", "x"), BadRequest, "cannot bind token to object of type v1, Kind=ConfigMap"),
        (bound_to("Pod", "none"), NotFound, 'pods "none" not found'),
        (bound_to("Pod", "p", uid="other"), Conflict, "does not match the UID in record"),
    ],
)
async def test_what_cannot_be_asked_for(
    registry: Registry, client: LocalClient, spec: Body, error: type[ApiError], message: str
) -> None:
    await bound_pod(client, "")
    with pytest.raises(error) as raised:
        await request(registry, spec)
    assert message in raised.value.message


async def test_the_pod_must_run_as_the_account(registry: Registry, client: LocalClient) -> None:
    await bound_pod(client, "")
    await client.create("serviceaccounts", {"metadata": {"name": "bot", "namespace": "default"}})
    with pytest.raises(BadRequest, match="pod running with different serviceaccount name"):
        await request(registry, bound_to("Pod", "p"), name="bot")


async def test_the_account_must_be_there_and_be_the_one_of_the_path(registry: Registry) -> None:
    with pytest.raises(NotFound, match='serviceaccounts "bot" not found'):
        await request(registry, {}, name="bot")
    with pytest.raises(BadRequest, match="name in URL does not match"):
        await request(registry, {}, metadata={"name": "bot"})
    with pytest.raises(BadRequest, match="must be a TokenRequest"):
        await request(registry, {}, kind="Pod", apiVersion="v1")


async def test_a_node_gets_tokens_that_die_with_its_own_pods_and_no_others(
    registry: Registry, client: LocalClient
) -> None:
    await bound_pod(client, "edge-1")
    assert claims_of(await request(registry, bound_to("Pod", "p"), NODE)).pod is not None
    with pytest.raises(Forbidden, match="not bound to a pod"):
        await request(registry, {}, NODE)
    with pytest.raises(Forbidden, match="scheduled on a different node"):
        await request(registry, bound_to("Pod", "p"), Context("system:node:edge-2", ("system:nodes",)))


async def test_a_node_gets_tokens_for_this_api_and_for_whom_the_pods_volumes_name(
    registry: Registry, client: LocalClient
) -> None:
    sources = [{"configMap": {"name": "c"}}, {"serviceAccountToken": {"path": "token", "audience": "vault"}}]
    await bound_pod(client, volumes=[{"name": "t", "projected": {"sources": sources}}, {"name": "e", "emptyDir": {}}])
    for audience in ("vault", ISSUER):
        made = await request(registry, {**bound_to("Pod", "p"), "audiences": [audience]}, NODE)
        assert made["spec"]["audiences"] == [audience]
    wanted = {**bound_to("Pod", "p"), "audiences": ["vault", "bank"]}
    with pytest.raises(Forbidden, match='audience "bank" not found in the pod\'s projected'):
        await request(registry, wanted, NODE)
    assert (await request(registry, wanted))["spec"]["audiences"] == ["vault", "bank"]
