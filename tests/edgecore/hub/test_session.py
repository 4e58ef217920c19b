from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from edgecore.hub.session import Ending, Introduction, LinkTerms, Session, Vitals
from edgecore.hub.traffic import TrafficAccount
from edgecore.meta.memory import MemoryDisk, MemoryEngine
from edgecore.meta.store import MetaStore
from protocol.events import InventoryReceived, Received, Settled, VolatileReceived
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatDecoder, Load
from protocol.messages import APPLIED, Lane, Op, Outcome, Resume, Verdict
from protocol.objects.keys import NodeName, ObjectKey, Uid
from protocol.samples import Metric, reading_field
from tests.support.edgeclouds import PlayedCloud
from tests.support.slices import delete, put, resumed

pytestmark = pytest.mark.looptime

WHO = Introduction(NodeName("edge-1"), "instance-1", "9.9")
WEB = ObjectKey("pods", "default", "web")
BUSY = Load(cpu=420, memory=300, pods=3)


class Edge:
    def __init__(self, disk: MemoryDisk | None = None, *, commit_s: float = 0.0) -> None:
        self.disk = disk or MemoryDisk()
        self.engine = MemoryEngine(self.disk, commit_s=commit_s)
        self.store = MetaStore(self.engine, WHO.node)


@asynccontextmanager
async def session(
    edge: Edge, cloud: PlayedCloud, *, restate: bool = False, load: Callable[[], Load] = lambda: BUSY
) -> AsyncIterator[tuple[Session, asyncio.Task[Ending]]]:
    running = Session(cloud.edge, edge.store, WHO, vitals=Vitals(load), rng=Random(2), restate=restate)
    task = asyncio.ensure_future(running.run())
    try:
        yield running, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await cloud.close()


async def test_the_hello_says_who_and_what_is_held() -> None:
    edge, cloud = Edge(), PlayedCloud()
    await edge.store.begin_session(4, "inc-1", equal=False)
    await edge.store.apply([put("web", 5)], 4)
    async with session(edge, cloud):
        hello = await cloud.accept(5)
    assert (hello.node, hello.instance, hello.agent_version) == ("edge-1", "instance-1", "9.9")
    assert (hello.epoch, hello.incarnation, hello.count, hello.digest) == (4, "inc-1", 1, edge.store.digest)


async def test_an_item_is_on_disk_before_it_is_acknowledged() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud):
        await cloud.accept()
        await cloud.send(put("web", 5))
        settled = await cloud.wait_for(Settled)
        assert WEB in edge.disk.objects
    assert list(settled.verdicts) == [APPLIED]


async def test_a_rejection_reaches_the_cloud_with_its_reason() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud):
        await cloud.accept()
        await cloud.send(put("web", 5)._replace(body=b"\xc1"))
        settled = await cloud.wait_for(Settled)
    (verdict,) = settled.verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.REJECTED, "Undecodable")


async def test_the_epoch_is_on_disk_before_the_node_says_anything() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud):
        await cloud.accept(7)
        await cloud.wait_for(VolatileReceived)
        assert edge.disk.facts["epoch"] == "7"


async def test_heartbeats_tell_the_load_at_the_rate_the_cloud_asked_for() -> None:
    edge, cloud = Edge(), PlayedCloud()
    loop = asyncio.get_running_loop()
    async with session(edge, cloud):
        await cloud.accept(heartbeat_s=7.0)
        decoder, arrivals = HeartbeatDecoder(), []
        for _ in range(3):
            decoder.decode((await cloud.wait_for(VolatileReceived)).body)
            arrivals.append(loop.time())
    assert replace(decoder.load, rtt_us=0) == BUSY
    assert [round(b - a) for a, b in pairwise(arrivals)] == [7, 7]


async def test_heartbeats_tell_what_pods_use_unless_the_cap_holds_bulk_back() -> None:
    edge, cloud = Edge(), PlayedCloud()
    account = TrafficAccount(lambda: 1_790_000_000.0, daily_bytes=100_000)
    field = reading_field(Uid("u"), "c", Metric.CPU)
    used = {field: 250}
    running = Session(
        cloud.edge,
        edge.store,
        WHO,
        vitals=Vitals(lambda: BUSY, lambda: used),
        rng=Random(2),
        terms=LinkTerms(account=account),
    )
    task = asyncio.ensure_future(running.run())
    await cloud.accept()
    decoder, known = HeartbeatDecoder(), []
    for cpu in (500, 750, 900):
        decoder.decode((await cloud.wait_for(VolatileReceived)).body)
        known.append(dict(decoder.readings or ()))
        used[field] = cpu
        account.meter.used_bytes = 85_000 if cpu == 500 else 0
    assert known == [{field: 250}, {field: 250}, {field: 750}]
    running.leave("enough")
    await task
    await cloud.close()


async def test_the_cloud_learns_the_round_trip_time() -> None:
    edge, cloud = Edge(), PlayedCloud()
    cloud.connection.faults.delay_s = (0.05, 0.05)
    async with session(edge, cloud):
        await cloud.accept()
        decoder = HeartbeatDecoder()
        for _ in range(3):
            decoder.decode((await cloud.wait_for(VolatileReceived)).body)
    assert decoder.load.rtt_us == pytest.approx(50_000, rel=0.05)


async def test_an_inventory_is_sent_when_the_cloud_asks_and_the_difference_completes_the_slice() -> None:
    edge, cloud = Edge(), PlayedCloud()
    await edge.store.begin_session(1, "inc-1", equal=False)
    await edge.store.apply([put("web", 5), put("gone", 6)], 1)
    async with session(edge, cloud):
        await cloud.accept(2, resume=Resume.INVENTORY)
        inventory = await cloud.wait_for(InventoryReceived)
        assert {entry.key.name for entry in inventory.entries} == {"web", "gone"}
        before = edge.store.complete
        await cloud.send(put("new", 9), delete("gone"), resumed())
        await cloud.wait_for(Settled, lambda settled: any(item.op is Op.COMMAND for item in settled.items))
        assert (before, edge.store.complete) == (False, True)
    assert {held.key.name for held in edge.store.list("pods")} == {"web", "new"}


async def test_what_is_owed_goes_up_and_is_settled() -> None:
    edge, cloud = Edge(), PlayedCloud()
    await edge.store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
    await edge.store.event({"metadata": {"name": "started.1", "namespace": "default"}})
    async with session(edge, cloud):
        await cloud.accept()
        received: list[ObjectKey] = []
        while len(received) < 2:
            batch = await cloud.wait_for(Received)
            received += [item.key for item in batch.items]
            cloud.link.settle(batch.batch, None, asyncio.get_running_loop().time())
            await cloud.flush()
        await cloud.wait_for(VolatileReceived)  # by the next heartbeat the acknowledgement has been taken in
        await cloud.wait_for(VolatileReceived)
        assert edge.store.owed() == []
    assert {key.resource for key in received} == {"pods/status", "events"}


async def test_a_report_made_during_the_session_goes_up_at_once() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        await edge.store.pod_finished("default", "web", Uid("u"))
        batch = await cloud.wait_for(Received)
    (item,) = batch.items
    assert (item.op, item.key, item.uid) == (Op.DELETE, WEB, "u")


async def test_a_refused_report_is_not_owed_any_more() -> None:
    edge, cloud = Edge(), PlayedCloud()
    await edge.store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
    async with session(edge, cloud):
        await cloud.accept()
        batch = await cloud.wait_for(Received)
        cloud.link.settle(batch.batch, [Verdict.rejected("Forbidden", "no")], asyncio.get_running_loop().time())
        await cloud.flush()
        await cloud.wait_for(VolatileReceived)
        await cloud.wait_for(VolatileReceived)
    assert edge.store.owed() == []


@pytest.mark.parametrize(("restate", "expected"), [(True, 1), (False, 0)])
async def test_after_a_long_absence_everything_is_stated_again(restate: bool, expected: int) -> None:
    edge, cloud = Edge(), PlayedCloud()
    await edge.store.begin_session(1, "inc-1", equal=False)
    await edge.store.node_status({"capacity": {}})
    (owed,) = edge.store.owed()
    edge.store.acknowledged(owed.key, owed.generation, APPLIED)
    async with session(edge, cloud, restate=restate):
        await cloud.accept(2)
        await cloud.wait_for(VolatileReceived)
        await cloud.wait_for(VolatileReceived)
        batches = [event for event in cloud.events if isinstance(event, Received)]
    assert len(batches) == expected


async def test_while_the_disk_is_full_items_are_put_off_and_the_session_stays() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        edge.disk.full = True
        await cloud.send(put("web", 5))
        await asyncio.sleep(3)
        assert edge.store.get(WEB) is None
        assert not task.done()
        edge.disk.full = False
        settled = await cloud.wait_for(Settled)
        assert settled.verdicts[0] == APPLIED
        assert edge.store.get(WEB) is not None


async def test_a_disk_that_cannot_take_the_epoch_still_lets_heartbeats_and_reports_through() -> None:
    edge, cloud = Edge(), PlayedCloud()
    edge.disk.full = True
    await edge.store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
    async with session(edge, cloud):
        await cloud.accept(3)
        told = HeartbeatDecoder()
        assert told.decode((await cloud.wait_for(VolatileReceived)).body).unsaved == 1
        await cloud.wait_for(Received)
        await cloud.send(put("web", 5))
        edge.disk.full = False
        settled = await cloud.wait_for(Settled)
        assert settled.verdicts[0] == APPLIED
        assert told.decode((await cloud.wait_for(VolatileReceived)).body).unsaved == 0
    assert edge.disk.facts["epoch"] == "3"


async def test_leaving_says_goodbye() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (running, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        running.leave("the agent stops")
        ending = await task
        closed = await cloud.ended()
    assert (closed.code, closed.reason) == (CloseCode.GOING_AWAY, "the agent stops")
    assert ending.opened


async def test_a_cloud_that_drains_is_obeyed() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        cloud.link.go_away(12.0, asyncio.get_running_loop().time())
        await cloud.flush()
        ending = await task
    assert (ending.retry_after_s, ending.opened) == (12.0, True)


async def test_a_refusal_is_reported_with_its_code() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.refuse(CloseCode.REVOKED, "joined again elsewhere", retry_after_s=30.0)
        ending = await task
    assert ending == Ending(CloseCode.REVOKED, "joined again elsewhere", 30.0, opened=False)


async def test_a_cut_connection_ends_the_session() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        cloud.connection.cut()
        ending = await task
    assert (ending.code, ending.opened) == (CloseCode.ABNORMAL, True)


async def test_a_connection_cut_during_a_commit_leaves_memory_and_disk_in_step() -> None:
    """Else the next digest speaks of what is not on disk, and a restart brings back what was deleted long since."""
    edge, cloud = Edge(commit_s=1.0), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        await cloud.send(put("web", 5))
        await asyncio.sleep(0.5)  # the batch is being written
        cloud.connection.cut()
        ending = await task
    assert ending.code == CloseCode.ABNORMAL
    assert WEB in edge.disk.objects
    assert [entry.key for entry in edge.store.inventory()] == [WEB]


@pytest.mark.parametrize("after_s", [0.0, 0.5])
async def test_a_connection_cut_while_the_epoch_is_written_ends_the_session(after_s: float) -> None:
    edge, cloud = Edge(commit_s=1.0), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept(7)
        await asyncio.sleep(after_s)
        cloud.connection.cut()
        assert (await task).code == CloseCode.ABNORMAL
    assert edge.store.epoch == int(edge.disk.facts.get("epoch", "0"))


async def test_a_silent_cloud_is_noticed() -> None:
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud) as (_, task):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        cloud.connection.faults.drop = 1.0
        started = asyncio.get_running_loop().time()
        ending = await task
        waited = asyncio.get_running_loop().time() - started
    assert ending.code == CloseCode.DEAD_PEER
    assert waited <= 16


async def test_node_statuses_go_before_pods() -> None:
    edge, cloud = Edge(), PlayedCloud()
    for number in range(3):
        await edge.store.pod_status("default", f"p{number}", Uid("u"), {"phase": "Running"})
    await edge.store.node_status({"capacity": {}})
    async with session(edge, cloud):
        await cloud.accept()
        batch = await cloud.wait_for(Received)
    assert batch.items[0].key.resource == "nodes/status"
    assert Lane.LEASE < Lane.SPEC


async def test_an_idle_session_stays_within_its_traffic_budget() -> None:
    """TLS adds 22 bytes a record (TLS 1.3) and WebSocket up to 8 a frame; 1 MB a day is 115 bytes in ten seconds."""
    edge, cloud = Edge(), PlayedCloud()
    async with session(edge, cloud):
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        up, down, frames = cloud.link.bytes_received, cloud.link.bytes_sent, 0
        for _ in range(360):
            await cloud.wait_for(VolatileReceived)
            frames += 1
        up, down = cloud.link.bytes_received - up, cloud.link.bytes_sent - down
    per_frame = 22 + 8
    assert (up / frames + per_frame) * 8640 < 1_000_000
    assert (down / frames + per_frame) * 8640 < 1_000_000
