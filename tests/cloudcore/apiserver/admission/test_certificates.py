from __future__ import annotations

import base64
from typing import Any

import pytest

from cloudcore.apiserver.admission.certificates import CertificateRights, CertificateSubject, ConditionTimes, Requester
from cloudcore.apiserver.admission.chain import AdmissionChain, Plugin
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.create import create
from cloudcore.apiserver.http.authz import Authorizers, MastersAuthorizer
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.apiserver.rbac.roles import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Roles
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.update import update
from cloudcore.errors import Forbidden, Invalid
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body, ObjectKey
from tests.support.accounttokens import NOW
from tests.support.csrs import csr_pem, name

ADMIN = Context("admin", ("system:masters",))
JANE = Context("jane", ("devs",), uid="7", extra={"scope": ("a",)})
CLIENT = "kubernetes.io/kube-apiserver-client"


def may(verb: str, *names: str) -> Rights:
    """Return rights by which jane may do one thing to signers."""
    roles = Roles()
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": [verb], "resourceNames": names}
    roles.put(ObjectKey(CLUSTER_ROLES, "", "r"), {"rules": [rule]})
    subject = {"kind": "User", "name": "jane"}
    binding = {"roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [subject]}
    roles.put(ObjectKey(CLUSTER_ROLE_BINDINGS, "", "b"), binding)
    return Rights(Authorizers((MastersAuthorizer(), roles)), roles)


def a_registry(rights: Rights) -> Registry:
    plugins: list[Plugin] = [Requester(), CertificateSubject(), ConditionTimes(), CertificateRights(rights)]
    return Registry(MemoryStore(), admission=AdmissionChain(plugins), clock=lambda: NOW)


async def made(registry: Registry, subject: str = "jane", group: str = "devs", context: Context = JANE) -> Body:
    pem = base64.b64encode(csr_pem(name(subject, group))).decode()
    spec: dict[str, Any] = {"request": pem, "signerName": CLIENT, "usages": ["client auth"], "username": "forged"}
    target = Target(registry.kinds.of("certificatesigningrequests.certificates.k8s.io"))
    return (await create(registry, target, {"metadata": {"name": "r"}, "spec": spec}, context)).decode()


async def write(registry: Registry, subresource: str, status: Body, context: Context = JANE) -> Body:
    kind = registry.kinds.of("certificatesigningrequests.certificates.k8s.io")
    present = (await registry.store.get(ObjectKey(kind.resource, "", "r"))).decode()
    target = Target(kind, "", "r", subresource)
    return (await update(registry, target, {**present, "status": status}, context)).decode()


APPROVED = {"conditions": [{"type": "Approved", "status": "True", "reason": "Ok"}]}


async def test_the_requester_is_who_asks_and_not_who_is_claimed() -> None:
    spec = (await made(a_registry(may("approve"))))["spec"]
    assert (spec["username"], spec["groups"], spec["uid"], spec["extra"]) == ("jane", ["devs"], "7", {"scope": ["a"]})


async def test_nobody_becomes_an_administrator_by_certificate() -> None:
    with pytest.raises(Forbidden, match="with system:masters group is not allowed"):
        await made(a_registry(may("approve")), group="system:masters", context=ADMIN)


@pytest.mark.parametrize("names", [(CLIENT,), ("kubernetes.io/*",)])
async def test_who_may_approve_for_the_signer_may(names: tuple[str, ...]) -> None:
    registry = a_registry(may("approve", *names))
    await made(registry)
    (condition,) = (await write(registry, "approval", APPROVED))["status"]["conditions"]
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize("rights", [may("approve", "example.com/*"), may("sign", CLIENT)])
async def test_nobody_else_may(rights: Rights) -> None:
    registry = a_registry(rights)
    await made(registry)
    with pytest.raises(Forbidden, match=f'not permitted to approve requests with signerName "{CLIENT}"'):
        await write(registry, "approval", APPROVED)


async def test_a_status_is_signed_by_who_may_sign_and_approves_nothing() -> None:
    registry = a_registry(may("sign", CLIENT))
    await made(registry)
    with pytest.raises(Forbidden, match="set by the approval subresource"):
        await write(registry, "status", APPROVED)
    await write(registry, "approval", APPROVED, ADMIN)
    signed = await write(registry, "status", {**APPROVED, "certificate": "eA=="})
    assert signed["status"]["certificate"] == "eA=="
    with pytest.raises(Invalid, match=r"status\.certificate"):
        await write(registry, "status", {**APPROVED, "certificate": "eQ=="})
    stranger = a_registry(may("approve", CLIENT))
    await made(stranger)
    with pytest.raises(Forbidden, match="not permitted to sign"):
        await write(stranger, "status", {"certificate": "eA=="})


@pytest.mark.parametrize(
    "conditions",
    [[], [{"type": "Denied", "status": "True"}, *APPROVED["conditions"]], [{"type": "Approved", "status": "False"}]],
)
async def test_a_judgement_stays(conditions: list[Body]) -> None:
    registry = a_registry(may("approve"))
    await made(registry)
    await write(registry, "approval", APPROVED, ADMIN)
    with pytest.raises(Invalid, match=r"status\.conditions"):
        await write(registry, "approval", {"conditions": conditions}, ADMIN)
