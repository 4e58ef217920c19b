"""The device's Kubernetes API with real clients: read as the device knows it, written through, queued while cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import pytest_asyncio

from edgecore.node.identity import DataFolder
from examples.demo.processes import Edge, Gate
from protocol.objects.keys import Body
from tests.support.clusters import QUICK, Cluster, config_map, link_of, pod, pods_at, running_cluster, status_of
from tests.support.kubectl import find_kubectl
from tests.support.servercertificates import self_signed
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"
TOKEN = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}


@dataclass
class Device:
    """An edge whose pod has a token, and whose link can be cut."""

    cluster: Cluster
    edge: Edge
    gate: Gate
    home: Path
    tls_port: int = 0

    @property
    def address(self) -> str:
        """Where the API is; behind TLS in any case, for kubectl sends no token without."""
        told = str((status_of(self.edge)["live"] or {})["metaserver"]["address"])
        return told if told.startswith("https://") else f"https://127.0.0.1:{self.tls_port}"

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = str((status_of(self.edge)["live"] or {})["metaserver"]["address"])
        behind = await asyncio.open_connection("127.0.0.1", int(told.rpartition(":")[2]))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, behind[1]), pump(behind[0], writer))

    @property
    def token(self) -> str:
        """The pod's token, as it lies on the device."""
        for path in DataFolder(self.edge.data_dir).tokens.glob("*"):
            rows = json.loads(path.read_bytes())
            for row in rows if isinstance(rows, list) else rows.get("tokens", [rows]):
                if row.get("token"):
                    return str(row["token"])
        return ""

    async def kubectl(self, *args: str, stdin: str = "") -> tuple[int, str]:
        config = {
            "clusters": [{"name": "device", "cluster": {"server": self.address, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "pod", "user": {"token": self.token}}],
            "contexts": [{"name": "device", "context": {"cluster": "device", "user": "pod"}}],
            "current-context": "device",
        }
        path = self.home / "device.kubeconfig"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        process = await asyncio.create_subprocess_exec(
            find_kubectl(),
            f"--kubeconfig={path}",
            f"--cache-dir={self.home / 'cache'}",
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        return process.returncode or 0, out.decode()

    async def cut(self) -> None:
        self.gate.shut()
        await aeventually(lambda: link_of(self.edge).get("phase") != "connected", within_s=60, what="the link is cut")

    async def mend(self) -> None:
        self.gate.reopen()
        await aeventually(lambda: link_of(self.edge).get("phase") == "connected", within_s=60, what="the link is back")

    async def drained(self) -> None:
        await aeventually(lambda: self._waiting() == 0, within_s=60, what="all writes have an answer")

    def _waiting(self) -> int:
        return int((status_of(self.edge)["live"] or {}).get("metaserver", {}).get("writesWaiting", -1))

    def client(self) -> Any:
        configuration = kubernetes.client.Configuration()
        configuration.host, configuration.verify_ssl = self.address, False
        configuration.api_key = {"authorization": f"Bearer {self.token}"}
        return kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))


def role(namespace: str, rules: list[Body]) -> list[tuple[str, Body]]:
    metadata = {"name": "app", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    return [
        (f"roles.{rbac}", {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        (
            f"rolebindings.{rbac}",
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "app"},
                "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": namespace}],
            },
        ),
    ]


@asynccontextmanager
async def started(cluster: Cluster, home: Path) -> AsyncIterator[Device]:
    async with Gate(cluster.cloud.ports["ws_port"]) as gate:
        edge = await cluster.add_edge("meta-1", gate=gate)
        device = Device(cluster, edge, gate, home)
        relay = await asyncio.start_server(device.relay, "127.0.0.1", 0, ssl=self_signed())
        device.tls_port = relay.sockets[0].getsockname()[1]
        yield device
        relay.close()
        await edge.daemon.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def device(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    folder = tmp_path_factory.mktemp("metaserver")
    async with running_cluster(folder, *QUICK) as cluster, started(cluster, folder) as device:
        api = cluster.api
        rules = [
            {"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update", "patch", "delete"]},
        ]
        await api.create("serviceaccounts", {"metadata": {"name": "app", "namespace": "default"}})
        for resource, body in role("default", rules):
            await api.create(resource, body)
        await api.create("configmaps", config_map("settings", colour="blue"))
        volumes = [
            {"name": "token", "projected": {"sources": [TOKEN]}},
            {"name": "settings", "configMap": {"name": "settings"}},
        ]
        await api.create("pods", pod("app", FOREVER, nodeName="meta-1", serviceAccountName="app", volumes=volumes))
        await aeventually(
            lambda: pods_at(device.edge).get("app", {}).get("status") == "Running", within_s=60, what="the pod runs"
        )
        await aeventually(lambda: bool(device.token), what="the pod has a token")
        await aeventually(lambda: device.client() is not None, what="there is a client")
        yield device


async def test_kubectl_reads_what_the_device_knows_online_and_cut_off(device: Device) -> None:
    code, out = await device.kubectl("get", "pods")
    assert code == 0, out
    assert pods_at(device.edge)["app"]["status"] in out
    await device.cut()
    code, out = await device.kubectl("get", "pods,configmaps", "-o", "name")
    assert (code, "pod/app" in out, "configmap/settings" in out) == (0, True, True), out
    await device.mend()


async def test_a_secret_that_no_rule_lets_see_is_refused(device: Device) -> None:
    code, out = await device.kubectl("get", "secrets")
    assert code != 0
    assert "cannot list resource" in out


async def test_the_python_client_lists_and_watches(device: Device) -> None:
    def watched() -> list[str]:
        api = device.client()
        listed = api.list_namespaced_pod("default")
        assert [item.metadata.name for item in listed.items] == ["app"]
        assert listed.items[0].status.phase == "Running"
        stream = kubernetes.watch.Watch().stream(api.list_namespaced_config_map, "default", timeout_seconds=2)
        return [f"{event['type']} {event['object'].metadata.name}" for event in stream]

    assert "ADDED settings" in await asyncio.to_thread(watched)


async def test_a_write_goes_through_while_the_cloud_is_there(device: Device) -> None:
    code, out = await device.kubectl("create", "configmap", "direct", "--from-literal=a=1")
    assert code == 0, out
    body = await device.cluster.api.get("configmaps", "default", "direct")
    assert body["data"] == {"a": "1"}


async def test_writes_wait_while_cut_off_and_arrive_in_order(device: Device) -> None:
    await device.cut()
    code, out = await device.kubectl("create", "configmap", "queued", "--from-literal=a=1")
    assert "takes JSON only" in out
    code, out = await device.kubectl("create", "-f", "-", stdin=json.dumps(config_map("queued", a="1")))
    assert code == 0, out
    code, out = await device.kubectl("patch", "configmap", "queued", "--type=merge", "-p", '{"data":{"b":"2"}}')
    assert code == 0, out
    code, out = await device.kubectl("get", "configmap", "queued", "-o", "json")
    assert code == 0, out
    body = json.loads(out)
    assert body["data"] == {"a": "1", "b": "2"}
    assert body["metadata"]["annotations"]["edge.aiokubeedge.io/pending-write"]
    await device.edge.daemon.kill()
    await device.edge.daemon.start()
    await aeventually(lambda: bool((status_of(device.edge)["live"] or {}).get("metaserver")), what="the agent is back")
    assert device._waiting() == 2
    await device.mend()
    await device.drained()
    body = await device.cluster.api.get("configmaps", "default", "queued")
    assert body["data"] == {"a": "1", "b": "2"}


async def test_what_may_not_be_written_any_more_when_its_turn_comes_is_refused_and_shown(device: Device) -> None:
    await device.cut()
    code, out = await device.kubectl("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"x":"y"}}')
    assert code == 0, out
    await device.cluster.api.patch(
        "roles.rbac.authorization.k8s.io",
        "default",
        "app",
        [{"op": "replace", "path": "/rules/1/verbs", "value": ["create"]}],
        kind="json",
    )
    await device.mend()
    await device.drained()
    body = await device.cluster.api.get("configmaps", "default", "settings")
    assert body["data"] == {"colour": "blue"}
    assert status_of(device.edge)["live"]["metaserver"]["writesRefused"] == 1

    async def told() -> bool:
        events = await device.cluster.api.list("events", "default")
        return any(event["reason"] == "QueuedWriteRefused" for event in events)

    await aeventually(told, what="an Event tells of the refusal")
