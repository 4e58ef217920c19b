"""Nodes with good certificates and bad manners, against a running cloud: cut off with a code, others unaffected."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import cramjam
import msgpack
import pytest
import pytest_asyncio
import zstandard

from cloudcore.errors import NotFound
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.tokenstore import create_token
from protocol.compression import Codec, compress
from tests.support.clusters import QUICK, Cluster, config_map, held_by, link_of, log_lines, pod, running_cluster
from tests.support.rogues import Rogue, rogue
from tests.support.waiting import aeventually
from tests.wire import reader
from tests.wire.minimal_edge import MinimalEdge, node_status

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

VERSIONS = count(1)
Neighbour = Callable[[], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("rogues"), *QUICK) as running:
        await running.add_edge("bystander")
        await running.api.create("configmaps", config_map("news", number="0"))
        reads = [{"name": "news", "configMap": {"name": "news"}}]
        await running.api.create("pods", pod("reader", "exec sleep 3600", nodeName="bystander", volumes=reads))
        await running.pod_is("reader")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> MinimalEdge:
    """Return the identity of a node that will misbehave."""
    return await joined(cluster, "rogue", tmp_path_factory.mktemp("rogue"))


async def joined(cluster: Cluster, node: str, folder: Path) -> MinimalEdge:
    made = MinimalEdge(node, folder)
    authority = CertificateAuthority.load(cluster.cloud.data_dir / "pki")
    token = await create_token(cluster.api, authority, node, 3600.0, time.time())
    await asyncio.to_thread(made.join, f"https://127.0.0.1:{cluster.cloud.ports['enrol_port']}", token)
    return made


@pytest.fixture
def neighbour(cluster: Cluster) -> Neighbour:
    """Return a check that the other node gets what is new, in the session it has had all along."""
    bystander = cluster.edges["bystander"]
    before = sum(line.get("event") == "connected" for line in log_lines(bystander.daemon))

    async def check() -> None:
        number = f"news-{next(VERSIONS)}"
        await cluster.api.patch("configmaps", "default", "news", {"data": {"number": number}})
        await aeventually(
            lambda: any(number.encode() in row.body for row in held_by(bystander).objects), what="the news arrived"
        )
        assert link_of(bystander)["phase"] == "connected"
        assert sum(line.get("event") == "connected" for line in log_lines(bystander.daemon)) == before

    return check


def said_why(cluster: Cluster, code: int, node: str = "rogue") -> bool:
    """Tell whether the cloud's log says with which code a session of the rogue ended."""
    return any(
        line.get("node") == node and line.get("code") == code
        for line in log_lines(cluster.cloud.daemon)
        if "event" in line
    )


# Each of these ends a session that has begun properly.


async def confirms_the_future(one: Rogue) -> None:
    await one.send("BATCH", 1, 77, b"\0", ["nodes/status"], [""], ["rogue"], [""], [1], [b"\x80"], [])


async def acks_the_future(one: Rogue) -> None:
    await one.send("ACK", 1 << 40, 1 << 40, [])


async def judges_an_item_that_was_not_sent(one: Rogue) -> None:
    await one.send("INVENTORY", 1, 0, 1, [], [], [], [], [])
    batch = await one.next("BATCH")
    number = batch["sequence"]
    await one.send("ACK", number, number, [[number, len(batch["items"]), 1, "No", "such item"]])


async def floods_with_pings(one: Rogue) -> None:
    for _ in range(6000):
        await one.send("PING", 1)


async def floods_with_heartbeats(one: Rogue) -> None:
    for _ in range(6000):
        await one.send("VOLATILE", 0, b"\x80")


async def floods_with_items(one: Rogue) -> None:
    for number in range(1, 12):
        names = [f"p{number}-{each}" for each in range(1000)]
        columns = ["pods/status"] * 1000, ["default"] * 1000, names, ["u"] * 1000, [1] * 1000, [b"\x80"] * 1000
        await one.send("BATCH", number, 0, bytes(1000), *columns, [])


async def sends_a_large_heartbeat(one: Rogue) -> None:
    await one.send("VOLATILE", 0, bytes(5000))


async def sends_bytes_one_by_one(one: Rogue) -> None:
    for each in range(2000):
        await one.raw(bytes([each % 256]))


async def sends_text(one: Rogue) -> None:
    await one.raw("hello")


async def sends_a_message_without_end(one: Rogue) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 17)

    await one.raw(pieces())


async def sends_fragments_without_end(one: Rogue) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3000):
            yield b""

    await one.raw(pieces())


async def floods_with_control_frames(one: Rogue) -> None:
    for number in range(3000):
        await one.socket.ping(str(number))


async def asks_for_the_difference_twice(one: Rogue) -> None:
    for number in (1, 2):
        await one.send("INVENTORY", number, 0, 1, [], [], [], [], [])


async def holds_more_than_anyone(one: Rogue) -> None:
    for number in range(1, 53):
        names = [f"{number}-{each}" for each in range(1000)]
        columns = ["pods"] * 1000, ["default"] * 1000, names, ["u"] * 1000, [1] * 1000
        await one.send("INVENTORY", number, 0, 0, *columns)


def bomb(codec: int) -> Callable[[Rogue], Coroutine[Any, Any, None]]:
    """Return what sends 64 MiB of nothing in a few bytes, as a batch, in one of the codecs."""
    plain = bytes(64 << 20)
    if codec == 1:
        packed = zstandard.ZstdCompressor().compress(plain)
    elif codec == 2:
        packed = bytes(cramjam.snappy.compress_raw(plain))
    else:
        packed = compress(Codec(codec), plain)

    async def send(one: Rogue) -> None:
        await one.raw(bytes([codec << 6 | 8]) + (one.epoch & 0xFFFFFFFF).to_bytes(4, "big") + packed)

    return send


RUDE: dict[str, tuple[Callable[[Rogue], Coroutine[Any, Any, None]], set[int]]] = {
    "confirms the future": (confirms_the_future, {4008}),
    "acks the future": (acks_the_future, {4008}),
    "judges an item that was not sent": (judges_an_item_that_was_not_sent, {4008}),
    "floods with pings": (floods_with_pings, {4009}),
    "floods with heartbeats": (floods_with_heartbeats, {4009}),
    "floods with items": (floods_with_items, {4007}),
    "sends a large heartbeat": (sends_a_large_heartbeat, {4002}),
    "sends bytes one by one": (sends_bytes_one_by_one, {4000}),
    "sends text": (sends_text, {4001}),
    "sends a message without end": (sends_a_message_without_end, {1009}),
    "sends fragments without end": (sends_fragments_without_end, {1008}),
    "floods with control frames": (floods_with_control_frames, {1008}),
    "asks for the difference twice": (asks_for_the_difference_twice, {4004}),
    "holds more than anyone": (holds_more_than_anyone, {4002}),
    **{f"sends a bomb of codec {int(codec)}": (bomb(codec), {4003}) for codec in Codec if codec},
}


@pytest.mark.parametrize("how", RUDE)
async def test_a_rude_node_is_cut_off_with_a_code_and_a_log_line(
    cluster: Cluster, edge: MinimalEdge, neighbour: Neighbour, how: str
) -> None:
    act, codes = RUDE[how]
    async with rogue(edge) as one:
        await one.shake_hands()
        acting = asyncio.create_task(act(one), name="rogue")
        assert await one.closed_with() in codes
        acting.cancel()
        await asyncio.gather(acting, return_exceptions=True)
    await aeventually(lambda: any(said_why(cluster, code) for code in codes), what="the cloud says why")
    await neighbour()


async def test_an_old_session_s_frames_are_of_no_use(cluster: Cluster, edge: MinimalEdge, neighbour: Neighbour) -> None:
    async with rogue(edge) as one:
        await one.shake_hands()
        body = msgpack.packb({"status": node_status("rogue")})
        kept = reader.write("BATCH", one.epoch, [1, 0, b"\0", ["nodes/status"], [""], ["rogue"], [""], [1], [body], []])
    async with rogue(edge) as one:
        await one.shake_hands()
        await one.raw(kept)
        assert await one.closed_with() == 4006
    await neighbour()


async def test_what_is_another_node_s_is_refused(cluster: Cluster, edge: MinimalEdge, neighbour: Neighbour) -> None:
    reader_pod = await cluster.api.get("pods", "default", "reader")
    uid = reader_pod["metadata"]["uid"]
    failed = msgpack.packb({"status": {"phase": "Failed"}})
    about = {"kind": "Pod", "namespace": "default", "name": "reader", "uid": uid}
    event = msgpack.packb({"metadata": {"name": "e", "namespace": "default"}, "involvedObject": about})
    rows: list[tuple[Any, ...]] = [
        (0, "nodes/status", "", "bystander", "", 1, failed, ""),
        (0, "pods/status", "default", "reader", uid, 2, failed, ""),
        (1, "pods", "default", "reader", uid, 3, b"", ""),
        (0, "secrets", "default", "mine", "u", 4, failed, ""),
        (2, "events", "default", "e", "", 5, event, "e"),
        (2, "resume", "", "rogue", "", 6, b"", "resume-1"),
    ]
    async with rogue(edge) as one:
        await one.shake_hands()
        ops, *columns = zip(*rows, strict=True)
        await one.send("BATCH", 1, 0, bytes(ops), *map(list, columns))
        ack = await one.next("ACK")
        while not ack["settled"]:
            ack = await one.next("ACK")
        assert [row["index"] for row in ack["exceptions"]] == list(range(len(rows)))
        assert {(row["outcome"], row["code"]) for row in ack["exceptions"]} == {("rejected", "Forbidden")}
    assert (await cluster.api.get("pods", "default", "reader"))["status"] == reader_pod["status"]
    with pytest.raises(NotFound):
        await cluster.api.get("secrets", "default", "mine")
    await neighbour()


async def test_a_bogus_inventory_costs_its_node_alone(
    cluster: Cluster, edge: MinimalEdge, neighbour: Neighbour
) -> None:
    async with rogue(edge) as one:
        await one.shake_hands()
        for number in range(1, 51):
            names = [f"{number}-{each}" for each in range(1000)]
            columns = ["pods"] * 1000, ["default"] * 1000, names, ["u"] * 1000, [1] * 1000
            await one.send("INVENTORY", number, 0, int(number == 50), *columns)
        first = await one.next("BATCH")
        assert {item["op"] for item in first["items"]} == {"delete"}
        await neighbour()
    await neighbour()


async def test_who_stalls_is_noticed_in_time(cluster: Cluster, tmp_path: Path, neighbour: Neighbour) -> None:
    """Four ways to stall at once: in TLS, in the HTTP head, before the hello, and in a session."""
    stalling = await joined(cluster, "stalling", tmp_path)
    port = cluster.cloud.ports["ws_port"]

    async def tls() -> None:
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        writing.write(b"\x16\x03\x01")
        await reading.read()
        writing.close()

    async def head() -> None:
        _, writing = await asyncio.open_connection("127.0.0.1", port, ssl=stalling.tls(), server_hostname="localhost")
        try:
            for each in b"GET /v1/link HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000:
                writing.write(bytes([each]))
                await writing.drain()
                await asyncio.sleep(0.5)
        except (ConnectionError, ssl.SSLError):
            return
        finally:
            writing.close()

    async def silence() -> int:
        async with rogue(stalling) as one:
            return await one.closed_with(within_s=40)

    async def stalled() -> None:
        async with rogue(stalling) as one:
            await one.shake_hands()
            transport = one.socket.transport
            transport.pause_reading()
            await aeventually(lambda: said_why(cluster, 4021, "stalling"), within_s=40, what="the cloud gives it up")

    async with asyncio.timeout(60):
        silent, *_ = await asyncio.gather(silence(), tls(), head())
        assert silent == 4020
        await stalled()
    await neighbour()
