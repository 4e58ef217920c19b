"""Who may become a node, and who may be one: tokens, certificates, copies, second joins."""

from __future__ import annotations

import json
import shutil
import ssl
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from cloudcore.errors import NotFound
from cloudcore.rest import read_kubeconfig
from cloudcore.security.ca import CertificateAuthority
from edgecore.hub.dialer import client_context
from edgecore.node.identity import DataFolder, load_identity, save_identity, write_private
from examples.demo.processes import Edge
from protocol.errors import ConnectionClosed
from protocol.frames import CloseCode
from protocol.objects.conditions import find_condition
from protocol.objects.keys import NodeName
from protocol.transports.websocket import PATH, connect
from tests.support.clusters import (
    QUICK,
    Cluster,
    Outcome,
    link_of,
    log_lines,
    pod,
    pod_processes,
    run,
    running_cluster,
    status_of,
)
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("joining"), *QUICK) as running:
        yield running


async def join(cluster: Cluster, folder: Path, token: str, node: str) -> Outcome:
    server = f"https://127.0.0.1:{cluster.cloud.ports['enrol_port']}"
    return await run(
        "edgecore", "join", f"--data-dir={folder}", f"--server={server}", f"--token={token}", f"--node-name={node}"
    )


async def token(cluster: Cluster, node: str, *, ttl: str = "1h") -> str:
    made = await run(
        "cloudcore", "token", "create", f"--data-dir={cluster.cloud.data_dir}", f"--node={node}", f"--ttl={ttl}"
    )
    assert made.code == 0, made.err
    assert len(made.out.splitlines()) == 1, "the token alone"
    return made.out.strip()


def refused(outcome: Outcome, *words: str, status: int = 1) -> None:
    """Require one line that says why, and the status."""
    assert (outcome.code, outcome.out) == (status, "")
    assert len(outcome.err.splitlines()) == 1
    for word in words:
        assert word in outcome.err


async def no_node(cluster: Cluster, node: str) -> None:
    with pytest.raises(NotFound):
        await cluster.api.get("nodes", "", node)


async def call(cluster: Cluster, tls: ssl.SSLContext) -> bytes:
    """Connect to the hub, say nothing and return what it says."""
    connection = await connect(f"wss://127.0.0.1:{cluster.cloud.ports['ws_port']}{PATH}", tls=tls)
    try:
        return await connection.receive()
    finally:
        await connection.close()


async def test_a_token_of_another_cloud_or_none_at_all_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    good = await token(cluster, "t1")
    refused(await join(cluster, tmp_path, "nonsense", "t1"), "the token is malformed", status=2)
    elsewhere = f"{'0' * 64}{good[64:]}"
    refused(await join(cluster, tmp_path, elsewhere, "t1"), "its CA has another fingerprint")
    forged = f"{good[:-4]}{'AAAA' if good[-4:] != 'AAAA' else 'BBBB'}"
    refused(await join(cluster, tmp_path, forged, "t1"), "not one of this cloud's")
    await no_node(cluster, "t1")
    assert (await join(cluster, tmp_path, good, "t1")).code == 0, "the refusals have not used it up"


async def test_a_token_is_for_its_node_alone(cluster: Cluster, tmp_path: Path) -> None:
    refused(await join(cluster, tmp_path, await token(cluster, "t2"), "other"), "the token is for another node name")
    await no_node(cluster, "t2")
    await no_node(cluster, "other")


async def test_an_expired_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    short = await token(cluster, "t3", ttl="1s")
    made = time.monotonic()
    await aeventually(lambda: time.monotonic() - made > 2)
    refused(await join(cluster, tmp_path, short, "t3"), "the token has expired")
    await no_node(cluster, "t3")


async def test_a_token_enrols_one_key_however_often_that_asks(cluster: Cluster, tmp_path: Path) -> None:
    once = await token(cluster, "t4")
    assert (await join(cluster, tmp_path / "a", once, "t4")).code == 0
    first = DataFolder(tmp_path / "a").certificate.read_bytes()
    node = await cluster.api.get("nodes", "", "t4")
    assert (await join(cluster, tmp_path / "a", once, "t4")).code == 0
    assert DataFolder(tmp_path / "a").certificate.read_bytes() == first
    assert (await cluster.api.get("nodes", "", "t4"))["metadata"]["uid"] == node["metadata"]["uid"]
    refused(await join(cluster, tmp_path / "b", once, "t4"), "the token has been used by another device")
    assert not DataFolder(tmp_path / "b").certificate.exists()


async def test_what_joining_writes_is_for_its_owner_alone(cluster: Cluster, tmp_path: Path) -> None:
    assert (await join(cluster, tmp_path / "e", await token(cluster, "t5"), "t5")).code == 0
    folder = DataFolder(tmp_path / "e")
    for path in (folder.key, folder.certificate, folder.authority, folder.identity, folder.instance):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(folder.key.parent.stat().st_mode) == 0o700


async def test_a_node_that_joins_again_elsewhere_revokes_the_earlier_certificate(cluster: Cluster) -> None:
    first = await cluster.add_edge("moved")
    await cluster.api.create("pods", pod("stays", "exec sleep 3600", nodeName="moved"))
    await cluster.pod_is("stays")
    second = cluster.edges["moved-2"] = Edge(cluster.folder / "moved-2", "moved")
    await second.join(cluster.cloud)
    await aeventually(lambda: link_of(first)["phase"] == "refused", what="the earlier certificate is revoked")
    assert status_of(first)["link"]["code"] == CloseCode.REVOKED
    assert "superseded by a later join" in link_of(first)["reason"]
    assert len(pod_processes(first)) == 1, "its pods run on"
    await second.start()
    await aeventually(lambda: link_of(second).get("phase") == "connected")
    assert [line for line in log_lines(cluster.cloud.daemon) if "joined again" in line.get("cause", "")]
    await first.daemon.stop()
    await second.daemon.stop()


async def test_a_copy_of_a_data_folder_is_refused_and_shown(cluster: Cluster) -> None:
    original = await cluster.add_edge("twin")
    await original.daemon.stop()
    copy = cluster.edges["twin-copy"] = Edge(cluster.folder / "twin-copy", "twin")
    shutil.copytree(original.data_dir, copy.data_dir)
    await original.start()
    await aeventually(lambda: link_of(original)["phase"] == "connected")
    await cluster.node_is("twin", "True")
    await copy.start()
    await aeventually(lambda: link_of(copy)["phase"] == "refused", what="the copy is refused")
    assert status_of(copy)["link"]["code"] == CloseCode.OTHER_INSTANCE
    assert status_of(original)["link"]["phase"] == "connected"

    async def shown(status: str) -> bool:
        node = await cluster.api.get("nodes", "", "twin")
        condition = find_condition(node["status"]["conditions"], "DuplicateInstance")
        return condition is not None and condition["status"] == status

    await aeventually(lambda: shown("True"), what="the condition DuplicateInstance is True")
    await copy.daemon.stop()
    await original.daemon.stop()
    await original.start()
    await aeventually(lambda: shown("False"), what="the condition is taken back")
    await original.daemon.stop()


async def test_a_device_with_another_instance_id_is_refused(cluster: Cluster) -> None:
    edge = await cluster.add_edge("pinned")
    await edge.daemon.stop()
    folder = DataFolder(edge.data_dir)
    save_identity(folder, replace(load_identity(folder), instance="forged"))
    await edge.start()
    await aeventually(lambda: link_of(edge)["phase"] == "refused")
    assert status_of(edge)["link"]["code"] == CloseCode.OTHER_INSTANCE
    await edge.daemon.stop()


async def test_a_certificate_of_another_node_is_refused_and_logged(cluster: Cluster) -> None:
    await cluster.add_edge("honest")
    edge = await cluster.add_edge("liar")
    await edge.daemon.stop()
    folder = DataFolder(edge.data_dir)
    save_identity(folder, replace(load_identity(folder), node=NodeName("honest")))
    folder.meta.unlink()  # what it held was the other node's
    await edge.start()
    await aeventually(lambda: link_of(edge)["phase"] == "refused")
    assert status_of(edge)["link"]["code"] == CloseCode.UNAUTHORIZED
    logged = [line for line in log_lines(cluster.cloud.daemon) if line["event"] == "node refused"]
    assert "the certificate is node liar's, not honest's" in [line["cause"] for line in logged]
    assert link_of(cluster.edges["honest"])["phase"] == "connected"
    for each in (edge, cluster.edges["honest"]):
        await each.daemon.stop()


async def test_a_certificate_of_another_authority_is_refused_and_logged(cluster: Cluster, tmp_path: Path) -> None:
    assert (await join(cluster, tmp_path / "e", await token(cluster, "t6"), "t6")).code == 0
    folder = DataFolder(tmp_path / "e")
    foreign = CertificateAuthority.create(time.time()).issue_client("system:node:t6", "system:nodes", time.time())
    write_private(folder.certificate, foreign.certificate_pem)
    write_private(folder.key, foreign.key_pem)
    with pytest.raises(ConnectionClosed):
        await call(cluster, client_context(folder))
    await aeventually(lambda: "certificate not acceptable" in cluster.cloud.daemon.log_path.read_text())


async def test_the_hub_lets_nobody_in_without_a_nodes_certificate(cluster: Cluster) -> None:
    bare = ssl.create_default_context(cafile=str(cluster.cloud.data_dir / "pki" / "ca.crt"))
    with pytest.raises(ConnectionClosed):
        await call(cluster, bare)
    refusals = [line for line in log_lines(cluster.cloud.daemon) if line["event"] == "TLS client refused"]
    assert refusals
    _, administrator = read_kubeconfig(cluster.cloud.kubeconfig)
    with pytest.raises(ConnectionClosed) as closed:
        await call(cluster, administrator)
    assert closed.value.code == CloseCode.UNAUTHORIZED


async def test_one_agent_per_data_folder(cluster: Cluster) -> None:
    edge = await cluster.add_edge("single")
    second = await run("edgecore", "run", f"--data-dir={edge.data_dir}")
    refused(second, f"another agent (pid {edge.daemon.pid}) runs on", status=2)
    assert edge.daemon.running
    assert await edge.daemon.stop() == 0


async def test_an_agent_that_has_not_joined_says_so(tmp_path: Path) -> None:
    refused(await run("edgecore", "run", f"--data-dir={tmp_path}"), "has not joined a cloud yet", status=2)
    (tmp_path / "identity.json").write_text(json.dumps({"node": "x"}))
    refused(await run("edgecore", "run", f"--data-dir={tmp_path}"), "join again", status=2)
