from __future__ import annotations

import asyncio
from random import Random

import pytest

from protocol.errors import ConnectionClosed
from protocol.transports.memory import MemoryConnection, memory_pair
from tests.contracts.transport import Pair, TransportContract, ending_of


class TestMemory(TransportContract):
    @pytest.fixture
    def pair(self) -> Pair:
        return memory_pair()


async def receive_all(connection: MemoryConnection) -> list[bytes]:
    frames = []
    while True:
        try:
            frames.append(await connection.receive())
        except ConnectionClosed:
            return frames


async def survivors(seed: int, **faults: float) -> list[bytes]:
    first, second = memory_pair(Random(seed))
    for name, value in faults.items():
        setattr(first.faults, name, value)

    async def transmit() -> None:
        await first.send(SENT)
        await first.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(transmit(), name="transmit")
        arrived = group.create_task(receive_all(second), name="receive")
    return arrived.result()


SENT = [bytes([number]) for number in range(50)]


async def test_faults_repeat_with_the_seed() -> None:
    one = await survivors(1, drop=0.3, duplicate=0.2, corrupt=0.2)
    assert one == await survivors(1, drop=0.3, duplicate=0.2, corrupt=0.2)
    assert one != await survivors(2, drop=0.3, duplicate=0.2, corrupt=0.2)


async def test_dropped_frames_vanish_and_the_others_keep_their_order() -> None:
    arrived = await survivors(1, drop=0.5)
    assert 0 < len(arrived) < 50
    assert arrived == [frame for frame in SENT if frame in arrived]
    assert await survivors(1, drop=1.0) == []


async def test_duplicated_frames_arrive_twice_in_a_row() -> None:
    assert await survivors(1, duplicate=1.0) == [frame for frame in SENT for _ in range(2)]


async def test_corrupted_frames_differ_in_one_byte() -> None:
    arrived = await survivors(1, corrupt=1.0)
    assert len(arrived) == 50
    assert all(got != sent for got, sent in zip(arrived, SENT, strict=True))


@pytest.mark.looptime
async def test_a_delay_takes_time_and_keeps_the_order() -> None:
    loop = asyncio.get_running_loop()
    first, second = memory_pair(Random(1))
    first.faults.delay_s = (0.5, 2.0)
    begun = loop.time()
    await first.send(SENT)
    arrivals = []
    for frame in SENT:
        assert await second.receive() == frame
        arrivals.append(loop.time() - begun)
    assert 0.5 <= arrivals[0] < arrivals[-1] <= 2.01
    assert arrivals == sorted(arrivals)


@pytest.mark.looptime
async def test_a_cut_loses_what_is_under_way_on_both_sides() -> None:
    first, second = memory_pair()
    first.faults.delay_s = (5.0, 5.0)
    await first.send([b"lost"])
    await second.send([b"lost"])
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(ending_of(end), name="end") for end in (second,)]
        await asyncio.sleep(1.0)
        first.cut()
    assert ends[0].result().code == 1006
    for end in (first, second):
        with pytest.raises(ConnectionClosed):
            await end.receive()
        with pytest.raises(ConnectionClosed):
            await end.send([b"more"])


async def test_a_sender_waiting_for_room_is_woken_by_the_end() -> None:
    first, second = memory_pair()

    async def flood() -> int:
        try:
            await first.send([b"x"] * 1000)
        except ConnectionClosed as exc:
            return exc.code
        raise AssertionError("sent everything")

    task = asyncio.create_task(flood(), name="flood")
    await asyncio.sleep(0)
    second.cut()
    assert await task == 1006


def test_certificates_are_those_of_the_peer() -> None:
    first, second = memory_pair(first_certificate=b"one", second_certificate=b"two")
    assert (first.peer_certificate, second.peer_certificate) == (b"two", b"one")
