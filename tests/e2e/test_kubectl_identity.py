"""An unmodified kubectl works with identities and rights: tokens, roles, impersonation, certificates."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from examples.demo.processes import Cloud
from tests.support.csrs import csr_pem, key_pem, name
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """One cloud for all: each test has users of its own."""
    made = Cloud(tmp_path_factory.mktemp("identity"))
    await made.start()
    yield made
    await made.daemon.stop()


@pytest.fixture
def admin(cloud: Cloud, tmp_path: Path) -> Kubectl:
    return Kubectl(cloud.kubeconfig, tmp_path)


@pytest.fixture
def with_credentials(cloud: Cloud, tmp_path: Path) -> Callable[..., Kubectl]:
    """Make a kubectl with credentials of one's own."""

    def make(**user: str) -> Kubectl:
        config: dict[str, Any] = yaml.safe_load(cloud.kubeconfig.read_bytes())
        config["users"][0]["user"] = user
        path = tmp_path / f"{len(list(tmp_path.glob('*.kubeconfig')))}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return Kubectl(path, tmp_path)

    return make


async def test_a_token_has_the_rights_of_its_account_and_dies_with_it(
    admin: Kubectl, with_credentials: Callable[..., Kubectl]
) -> None:
    await admin.ok("create", "serviceaccount", "robot")
    robot = with_credentials(token=(await admin.ok("create", "token", "robot", "--duration=15m")).strip())
    whoami = json.loads(await robot.ok("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert whoami["username"] == "system:serviceaccount:default:robot"
    refused = await robot.run("get", "pods")
    assert refused.code != 0
    assert (
        'pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    ) in refused.err
    await admin.ok("create", "role", "reader", "--verb=get,list,watch", "--resource=pods,pods/log")
    await admin.ok("create", "rolebinding", "robots", "--role=reader", "--serviceaccount=default:robot")
    assert "No resources found" in (await robot.run("get", "pods")).err
    assert (await robot.run("get", "pods", "-A")).code != 0
    assert (await robot.ok("auth", "can-i", "list", "pods")).strip() == "yes"
    listed = await robot.ok("auth", "can-i", "--list")
    assert any(line.split() == ["pods/log", "[]", "[]", "[get", "list", "watch]"] for line in listed.splitlines())
    # What it has it may give, and nothing more; but it may not make roles at all yet.
    assert "forbidden" in (await robot.run("create", "role", "x", "--verb=get", "--resource=pods")).err
    await admin.ok("delete", "serviceaccount", "robot")
    await admin.ok("create", "serviceaccount", "robot")
    assert "Unauthorized" in (await robot.run("get", "pods")).err


async def test_a_token_can_be_bound_to_a_secret(admin: Kubectl, with_credentials: Callable[..., Kubectl]) -> None:
    await admin.ok("create", "secret", "generic", "anchor")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=anchor", "--audience=vault")
    elsewhere = (await admin.ok("create", "token", "default", *bound)).strip()
    assert "Unauthorized" in (await with_credentials(token=elsewhere).run("auth", "whoami")).err
    token = (await admin.ok("create", "token", "default", *bound[:2])).strip()
    holder = with_credentials(token=token)
    await holder.ok("auth", "whoami")
    await admin.ok("delete", "secret", "anchor")
    assert "Unauthorized" in (await holder.run("auth", "whoami")).err


async def test_default_roles_are_there_and_gather(admin: Kubectl) -> None:
    assert (await admin.ok("auth", "can-i", "*", "*", "-A")).strip() == "yes"
    await admin.ok("create", "clusterrolebinding", "ann-edits", "--clusterrole=edit", "--user=ann")
    for question, answer in (
        (("create", "deployments"), "yes"),
        (("get", "secrets"), "yes"),
        (("list", "configmaps"), "yes"),
        (("create", "roles"), "no"),
        (("get", "nodes"), "no"),
        (("get", "/healthz"), "yes"),
        (("get", "/metrics"), "no"),
    ):
        outcome = await admin.run("auth", "can-i", *question, "--as=ann")
        assert outcome.out.strip() == answer, question
    reader = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["gadgets"], "verbs": ["get"]}],
    }
    await admin.ok("apply", "-f", "-", stdin=json.dumps(reader))

    async def gathered() -> bool:
        outcome = await admin.run("auth", "can-i", "get", "gadgets", "--as=ann")
        return outcome.out.strip().endswith("yes")

    await aeventually(gathered, what="what view gathers reaches edit too")


async def test_acting_as_somebody_else(admin: Kubectl) -> None:
    refused = await admin.run("get", "pods", "--as=bea")
    assert 'User "bea" cannot list resource "pods"' in refused.err
    await admin.ok("get", "pods", "--as=bea", "--as-group=system:masters")
    who = ("auth", "whoami", "-o", "json", "--as=system:serviceaccount:shop:robot")
    groups = json.loads(await admin.ok(*who))["status"]["userInfo"]["groups"]
    assert groups == ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]


async def test_nobody_gives_more_than_they_have(admin: Kubectl) -> None:
    await admin.ok("create", "rolebinding", "cat-rules", "--clusterrole=admin", "--user=cat")
    await admin.ok("create", "role", "viewing", "--verb=list", "--resource=pods", "--as=cat")
    too_much = await admin.run("create", "rolebinding", "all", "--clusterrole=cluster-admin", "--user=cat", "--as=cat")
    assert 'user "cat" (groups=["system:authenticated"]) is attempting to grant RBAC permissions' in too_much.err
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in too_much.err


async def test_reconcile(admin: Kubectl) -> None:
    def manifest(*verbs: str) -> str:
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": list(verbs)}]
        group = "rbac.authorization.k8s.io"
        metadata = {"name": "ops", "namespace": "default"}
        subject = {"kind": "User", "name": "dora", "apiGroup": group}
        return yaml.safe_dump_all(
            [
                {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "roleRef": {"apiGroup": group, "kind": "Role", "name": "ops"},
                    "subjects": [subject],
                },
            ]
        )

    await admin.ok("auth", "reconcile", "-f", "-", stdin=manifest("get"))
    await admin.ok("auth", "reconcile", "-f", "-", stdin=manifest("list"))
    assert (await admin.ok("auth", "can-i", "get", "pods", "--as=dora")).strip() == "yes"
    assert (await admin.ok("auth", "can-i", "list", "pods", "--as=dora")).strip() == "yes"


async def test_a_certificate_is_asked_for_approved_and_used(
    admin: Kubectl, with_credentials: Callable[..., Kubectl]
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "jane"},
        "spec": {
            "request": base64.b64encode(csr_pem(name("jane", "devs"), key)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": 86_400,
            "usages": ["client auth"],
        },
    }
    await admin.ok("apply", "-f", "-", stdin=json.dumps(request))
    assert "Pending" in await admin.ok("get", "csr")
    await admin.ok("certificate", "approve", "jane")

    async def certificate() -> str:
        return (await admin.ok("get", "csr", "jane", "-o", "jsonpath={.status.certificate}")).strip()

    await aeventually(certificate, what="the certificate is issued")
    assert "Approved,Issued" in await admin.ok("get", "csr")
    encoded_key = base64.b64encode(key_pem(key)).decode()
    jane = with_credentials(**{"client-certificate-data": await certificate(), "client-key-data": encoded_key})
    info = json.loads(await jane.ok("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("jane", ["devs", "system:authenticated"])
    assert (await jane.run("get", "nodes")).code != 0
    await admin.ok("create", "clusterrolebinding", "devs", "--clusterrole=cluster-admin", "--group=devs")
    await jane.ok("get", "nodes")


async def test_a_token_in_a_secret(admin: Kubectl, with_credentials: Callable[..., Kubectl]) -> None:
    await admin.ok("create", "serviceaccount", "keeper")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keeper", "annotations": {"kubernetes.io/service-account.name": "keeper"}},
        "type": "kubernetes.io/service-account-token",
    }
    await admin.ok("apply", "-f", "-", stdin=json.dumps(secret))

    async def token() -> str:
        return await admin.ok("get", "secret", "keeper", "-o", "jsonpath={.data.token}")

    await aeventually(token, what="the Secret is filled")
    keeper = with_credentials(token=base64.b64decode(await token()).decode())
    await keeper.ok("auth", "whoami")
    await admin.ok("delete", "secret", "keeper")
    assert "Unauthorized" in (await keeper.run("auth", "whoami")).err


async def test_what_applies_and_creates_needs_the_right_to_create(admin: Kubectl) -> None:
    await admin.ok("create", "role", "patcher", "--verb=get,patch", "--resource=configmaps")
    await admin.ok("create", "rolebinding", "patcher", "--role=patcher", "--user=eve")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
    apply = ("apply", "--server-side", "--as=eve", "-f", "-")
    refused = await admin.run(*apply, stdin=json.dumps(body))
    assert 'cannot create resource "configmaps"' in refused.err
    await admin.ok("create", "configmap", "c")
    await admin.ok(*apply, stdin=json.dumps(body))
