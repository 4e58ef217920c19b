from __future__ import annotations

from random import Random
from typing import Any

import pytest

from cloudcore.apiserver.admission.accounts import MOUNT_PATH, ServiceAccounts
from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import Forbidden
from cloudcore.store.memory import MemoryStore
from tests.support.registries import a_pod


@pytest.fixture
async def client() -> LocalClient:
    client = LocalClient(Registry(MemoryStore(), admission=AdmissionChain([ServiceAccounts(Random(1))])))
    await client.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})
    for name in ("process", "docker"):
        await client.create("runtimeclasses.node.k8s.io", {"metadata": {"name": name}, "handler": name})
    return client


async def spec_of(client: LocalClient, **spec: Any) -> dict[str, Any]:
    result: dict[str, Any] = (await client.create("pods", a_pod(**spec)))["spec"]
    return result


async def test_a_pod_runs_as_the_default_account(client: LocalClient) -> None:
    spec = await spec_of(client)
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")


async def test_the_default_account_may_be_late() -> None:
    registry = Registry(MemoryStore(), admission=AdmissionChain([ServiceAccounts()]))
    assert (await spec_of(LocalClient(registry)))["serviceAccountName"] == "default"


async def test_a_stated_account_stays_and_brings_its_pull_secrets(client: LocalClient) -> None:
    account = {"metadata": {"name": "bot", "namespace": "default"}, "imagePullSecrets": [{"name": "registry"}]}
    await client.create("serviceaccounts", account)
    spec = await spec_of(client, serviceAccountName="bot")
    assert (spec["serviceAccountName"], spec["imagePullSecrets"]) == ("bot", [{"name": "registry"}])


async def test_an_account_that_is_not_there_is_refused(client: LocalClient) -> None:
    with pytest.raises(Forbidden, match='service account default/bot: serviceaccount "bot" not found'):
        await spec_of(client, serviceAccountName="bot")


async def test_a_pod_in_containers_gets_its_token_volume_as_in_kubernetes(client: LocalClient) -> None:
    spec = await spec_of(client, runtimeClassName="docker")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    token, authority, namespace = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert authority["configMap"] == {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert namespace["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == "metadata.namespace"
    (container,) = spec["containers"]
    assert container["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}]


@pytest.mark.parametrize(
    "spec",
    [{}, {"runtimeClassName": "process"}, {"runtimeClassName": "docker", "automountServiceAccountToken": False}],
)
async def test_a_process_pod_and_one_that_declines_get_none(client: LocalClient, spec: dict[str, Any]) -> None:
    assert "volumes" not in await spec_of(client, **spec)


async def test_what_the_pod_says_goes_before_what_the_account_says(client: LocalClient) -> None:
    account = {"metadata": {"name": "bot", "namespace": "default"}, "automountServiceAccountToken": False}
    await client.create("serviceaccounts", account)
    assert "volumes" not in await spec_of(client, runtimeClassName="docker", serviceAccountName="bot")
    pod = a_pod("b", runtimeClassName="docker", serviceAccountName="bot", automountServiceAccountToken=True)
    assert (await client.create("pods", pod))["spec"]["volumes"]


async def test_a_mount_of_ones_own_at_that_place_stays(client: LocalClient) -> None:
    mounts = [{"name": "mine", "mountPath": MOUNT_PATH}]
    container = {"name": "a", "image": "x", "volumeMounts": mounts}
    volumes = [{"name": "mine", "emptyDir": {}}]
    spec = await spec_of(client, runtimeClassName="docker", containers=[container], volumes=volumes)
    assert (spec["containers"][0]["volumeMounts"], spec["volumes"]) == (mounts, volumes)
