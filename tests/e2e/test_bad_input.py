"""What a hostile or broken world does to running daemons: full disks, damaged files, rogue frames, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import msgpack
import pytest
import pytest_asyncio

from cloudcore.errors import StorageUnavailable
from edgecore.hub.dialer import client_context
from edgecore.node.identity import DataFolder, load_identity
from examples.demo.processes import Edge
from protocol import payloads
from protocol.compression import Codec
from protocol.errors import ConnectionClosed
from protocol.events import WelcomeReceived
from protocol.frames import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, CloseCode, FrameType, encode_frame
from protocol.link import Link, Side
from protocol.messages import Hello
from protocol.objects.keys import Body
from protocol.objects.wellknown import ROOT_CA
from protocol.settings import LinkSettings
from protocol.transports.websocket import PATH, WebSocketConnection, connect
from tests.support.clusters import (
    QUICK,
    Cluster,
    config_map,
    container_status,
    held_by,
    link_of,
    log_lines,
    pod,
    pod_processes,
    running_cluster,
    status_of,
)
from tests.support.disks import small_disk
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("bad"), *QUICK) as running:
        await running.add_edge("bystander")
        await running.add_edge("rogue")
        await running.edges["rogue"].daemon.stop()
        yield running


# --- rogue frames -----------------------------------------------------------------------------------------------------


@dataclass
class Rogue:
    """A device with a good certificate and bad manners."""

    connection: WebSocketConnection
    hello: Hello
    epoch: int = 0

    def greeting(self) -> bytes:
        """Return the frame an honest agent begins with."""
        link = Link(Side.EDGE, LinkSettings(), Random(1), now=0.0)
        link.start(self.hello, 0.0)
        return link.data_to_send(0.0)[0]

    async def shake_hands(self) -> None:
        link = Link(Side.EDGE, LinkSettings(), Random(1), now=0.0)
        link.start(self.hello, 0.0)
        await self.connection.send(link.data_to_send(0.0))
        link.receive(await self.connection.receive(), 0.0)
        event = link.next_event()
        assert isinstance(event, WelcomeReceived)
        self.epoch = event.welcome.epoch

    async def closed_with(self) -> int:
        """Read until the hub hangs up, and return its code."""
        try:
            async with asyncio.timeout(20):
                while True:
                    await self.connection.receive()
        except ConnectionClosed as closed:
            return closed.code


@asynccontextmanager
async def rogue(cluster: Cluster) -> AsyncIterator[Rogue]:
    folder = DataFolder(cluster.edges["rogue"].data_dir)
    identity = load_identity(folder)
    hello = Hello(identity.node, identity.instance, "", 1 << 40, bytes(16), 0, "rogue")
    url = f"wss://127.0.0.1:{cluster.cloud.ports['ws_port']}{PATH}"
    connection = await connect(url, tls=client_context(folder))
    try:
        yield Rogue(connection, hello)
    finally:
        await connection.close()


def of_version_99(one: Rogue) -> bytes:
    fields = msgpack.unpackb(one.greeting()[5:])
    return encode_frame(FrameType.HELLO, 0, msgpack.packb([99, *fields[1:]]))


BEFORE: dict[str, tuple[Callable[[Rogue], bytes], CloseCode]] = {
    "no whole header": (lambda _: b"\x01\x00", CloseCode.MALFORMED_FRAME),
    "no msgpack": (lambda _: encode_frame(FrameType.HELLO, 0, b"\xc1\xc1\xc1"), CloseCode.MALFORMED_FRAME),
    "a hello cut short": (lambda one: one.greeting()[:-3], CloseCode.MALFORMED_FRAME),
    "of no type": (lambda _: b"\x3f\x00\x00\x00\x00\x90", CloseCode.UNKNOWN_FRAME_TYPE),
    "of no codec": (lambda _: b"\xc1\x00\x00\x00\x00\x90", CloseCode.DECOMPRESSION_FAILED),
    "a bomb": (
        lambda _: encode_frame(FrameType.HELLO, 0, bytes(MAX_PAYLOAD_BYTES + 1), Codec.ZSTD),
        CloseCode.DECOMPRESSION_FAILED,
    ),
    "too large": (lambda _: bytes(MAX_FRAME_BYTES + 1), CloseCode.MESSAGE_TOO_BIG),
    "a ping before the hello": (
        lambda _: encode_frame(FrameType.PING, 0, payloads.encode_number(1)),
        CloseCode.UNEXPECTED_FRAME,
    ),
    "of a version of the future": (of_version_99, CloseCode.UNKNOWN_VERSION),
}
AFTER: dict[str, tuple[Callable[[Rogue], bytes], CloseCode]] = {
    "a second hello": (Rogue.greeting, CloseCode.UNEXPECTED_FRAME),
    "garbage in a batch": (
        lambda one: encode_frame(FrameType.BATCH, one.epoch, msgpack.packb(["x"] * 10)),
        CloseCode.MALFORMED_FRAME,
    ),
    "of another session": (
        lambda one: encode_frame(FrameType.PING, one.epoch + 1, payloads.encode_number(1)),
        CloseCode.STALE_EPOCH,
    ),
    "an ack of nothing": (
        lambda one: encode_frame(FrameType.ACK, one.epoch, payloads.encode_ack(payloads.Ack(99, 99))),
        CloseCode.BAD_ACK,
    ),
    "a bomb in a batch": (
        lambda one: encode_frame(FrameType.BATCH, one.epoch, bytes(MAX_PAYLOAD_BYTES + 1), Codec.ZSTD),
        CloseCode.DECOMPRESSION_FAILED,
    ),
}


@pytest.fixture
def unnoticed(cluster: Cluster) -> Callable[[], None]:
    """Return a check that the other node's session has gone on as if nothing had been."""
    bystander = cluster.edges["bystander"]
    before = log_lines(bystander.daemon)

    def check() -> None:
        assert log_lines(bystander.daemon) == before
        assert link_of(bystander)["phase"] == "connected"

    return check


@pytest.mark.parametrize("frame", BEFORE)
async def test_a_bad_first_frame_ends_that_connection_alone(
    cluster: Cluster, unnoticed: Callable[[], None], frame: str
) -> None:
    make, code = BEFORE[frame]
    async with rogue(cluster) as one:
        with contextlib.suppress(ConnectionClosed):  # the hub may hang up before all of a large frame is sent
            await one.connection.send([make(one)])
        assert await one.closed_with() == code
    unnoticed()


@pytest.mark.parametrize("frame", AFTER)
async def test_a_bad_frame_in_a_session_ends_that_session_alone(
    cluster: Cluster, unnoticed: Callable[[], None], frame: str
) -> None:
    make, code = AFTER[frame]
    async with rogue(cluster) as one:
        await one.shake_hands()
        await one.connection.send([make(one)])
        assert await one.closed_with() == code
    unnoticed()


async def test_bytes_that_are_no_tls_are_dropped(cluster: Cluster, unnoticed: Callable[[], None]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.cloud.ports["ws_port"])
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
    try:
        answer = await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    assert b"HTTP" not in answer
    unnoticed()


# --- signals and damage -----------------------------------------------------------------------------------------------


async def test_sigterm_leaves_pods_running_and_sighup_reads_log_settings(cluster: Cluster) -> None:
    edge = await cluster.add_edge("obedient")
    await cluster.api.create("pods", pod("outlives", "exec sleep 3600", nodeName="obedient"))
    await cluster.pod_is("outlives")
    running = pod_processes(edge)
    (edge.data_dir / "edgecore.yaml").write_text("log_level: debug\n")
    os.kill(edge.daemon.pid, signal.SIGHUP)
    await aeventually(lambda: "settings reloaded" in edge.daemon.tail())
    (edge.data_dir / "edgecore.yaml").write_text("log_level: loud\n")
    os.kill(edge.daemon.pid, signal.SIGHUP)
    await aeventually(lambda: "settings not reloaded" in edge.daemon.tail())
    assert edge.daemon.running
    (edge.data_dir / "edgecore.yaml").unlink()
    assert await edge.daemon.stop() == 0
    assert pod_processes(edge) == running
    assert status_of(edge)["link"]["phase"] == "stopped"
    await edge.start("--stop-pods")
    await aeventually(lambda: link_of(edge)["phase"] == "connected")
    assert pod_processes(edge) == running
    assert await edge.daemon.stop() == 0
    assert pod_processes(edge) == {}


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
async def test_a_corrupt_database_is_set_aside_and_running_pods_are_adopted(cluster: Cluster, damage: str) -> None:
    node = f"damaged-{damage}"
    edge = await cluster.add_edge(node)
    await cluster.api.create("pods", pod(f"survivor-{damage}", "exec sleep 3600", nodeName=node))
    before = await cluster.pod_is(f"survivor-{damage}")
    running = pod_processes(edge)
    # SIGTERM folds the journal into the file; SIGKILL leaves nearly everything in the journal.
    meta = DataFolder(edge.data_dir).meta
    if damage == "truncated":
        await edge.daemon.stop()
        os.truncate(meta, meta.stat().st_size // 2)
    else:
        await edge.daemon.kill()
        for part in (meta, meta.with_name("meta.db-wal")):
            part.write_bytes(os.urandom(part.stat().st_size))
    await edge.start()
    aside = partial(meta.parent.glob, "meta.db.corrupt-*")
    await aeventually(lambda: list(aside()) and meta.exists(), what="the file is set aside, and there is a new one")
    await aeventually(
        lambda: {row.uid for row in held_by(edge).objects if row.key.resource == "pods"} == set(running),
        what="the slice has come again",
    )
    assert "set aside" in edge.daemon.log_path.read_text()
    await cluster.node_is(node, "True")
    after = await cluster.pod_is(f"survivor-{damage}")
    assert pod_processes(edge) == running
    assert container_status(after) == container_status(before)


# --- full disks -------------------------------------------------------------------------------------------------------


def big(name: str, size_bytes: int) -> Body:
    return config_map(name, filler="x" * size_bytes)


async def test_a_full_disk_under_the_cloud_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "cloud" / "data", size_kib=16 * 1024) as disk:
        async with running_cluster(tmp_path) as cluster:
            await cluster.api.create("configmaps", big("first", 1000))
            disk.fill()
            stored = {"first", *await write_until_refused(cluster)}
            assert await names(cluster) == stored, "reads go on"
            with pytest.raises(StorageUnavailable, match="the disk is full; nothing was stored"):
                await cluster.api.patch("configmaps", "default", "first", {"data": {"filler": "y" * 50_000}})
            assert (await cluster.api.get("configmaps", "default", "first"))["data"] == big("first", 1000)["data"]
            disk.make_room()
            await cluster.api.create("configmaps", big("after", 50_000))
            await cluster.cloud.daemon.kill()
            await cluster.cloud.start()
            assert await names(cluster) == {*stored, "after"}


async def write_until_refused(cluster: Cluster) -> list[str]:
    """Create ConfigMaps until the API refuses one, and return the names of those it took."""
    stored: list[str] = []
    for number in range(200):
        try:
            await cluster.api.create("configmaps", big(f"cm-{number}", 50_000))
        except StorageUnavailable:
            return stored
        stored.append(f"cm-{number}")
    pytest.fail("the disk was never full")


async def names(cluster: Cluster) -> set[str]:
    """Return the names of the ConfigMaps but that of the authority, which a controller makes when it gets to it."""
    return {body["metadata"]["name"] for body in await cluster.api.list("configmaps", "default")} - {ROOT_CA}


async def test_a_full_disk_under_the_edge_acks_nothing_and_goes_on_when_there_is_room(
    cluster: Cluster, tmp_path: Path
) -> None:
    edge = cluster.edges["tight"] = Edge(cluster.folder / "tight", "tight")
    with small_disk(DataFolder(edge.data_dir).meta.parent, size_kib=4096) as disk:
        try:
            await fill_the_edge(cluster, edge, disk.fill, disk.make_room)
        finally:
            await edge.daemon.kill()


async def fill_the_edge(cluster: Cluster, edge: Edge, fill: Callable[[], None], make_room: Callable[[], None]) -> None:
    await edge.join(cluster.cloud)
    await edge.start()
    await cluster.node_is("tight", "True")
    await cluster.api.create("pods", pod("early", "exec sleep 3600", nodeName="tight"))
    await cluster.pod_is("early")
    running = pod_processes(edge)
    fill()
    await cluster.api.create("configmaps", big("heavy", 600_000))
    reads = {"envFrom": [{"configMapRef": {"name": "absent", "optional": True}}]}
    volume = [{"name": "heavy", "configMap": {"name": "heavy"}}]
    await cluster.api.create("pods", pod("late", "exec sleep 3600", nodeName="tight", container=reads, volumes=volume))
    await aeventually(lambda: "the disk is full" in edge.daemon.log_path.read_text(), what="the agent complains")
    assert not {row.key.name for row in held_by(edge).objects} & {"heavy", "late"}
    link = await cluster.api.get("nodelinks.edge.aiokubeedge.io", "", "tight")
    assert link["status"]["connected"]
    assert link["status"]["pending"] > 0, "the cloud knows that these have not arrived"
    assert pod_processes(edge) == running
    assert edge.daemon.running
    make_room()
    await cluster.pod_is("late")
    assert {"heavy", "late"} <= {row.key.name for row in held_by(edge).objects}
    early = next(uid for uid in running)
    assert pod_processes(edge)[early] == running[early]
