"""What every transport must do. A transport's tests subclass :class:`TransportContract` and give it a ``pair``."""

from __future__ import annotations

import asyncio

import pytest

from protocol.errors import ConnectionClosed
from protocol.frames import MAX_FRAME_BYTES
from protocol.transports.base import Connection

Pair = tuple[Connection, Connection]


async def ending_of(connection: Connection) -> ConnectionClosed:
    """Return how ``connection`` ends, skipping what still arrives."""
    while True:
        try:
            await connection.receive()
        except ConnectionClosed as exc:
            return exc


class TransportContract:
    """One suite for every implementation of ``protocol.transports.base.Connection``."""

    async def test_frames_arrive_whole_and_in_order_both_ways(self, pair: Pair) -> None:
        for sender, receiver in (pair, pair[::-1]):
            frames = [bytes([number]) * (number * 100 + 1) for number in range(30)]
            await sender.send(frames)
            assert [await receiver.receive() for _ in frames] == frames

    async def test_an_empty_frame_is_a_frame(self, pair: Pair) -> None:
        await pair[0].send([b"", b"next"])
        assert await pair[1].receive() == b""
        assert await pair[1].receive() == b"next"

    async def test_the_largest_frame_passes(self, pair: Pair) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pair[0].send([bytes(MAX_FRAME_BYTES)]), name="send")
            received = group.create_task(pair[1].receive(), name="receive")
        assert len(received.result()) == MAX_FRAME_BYTES

    async def test_a_frame_over_the_limit_ends_the_connection(self, pair: Pair) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_until_closed(pair[0], bytes(MAX_FRAME_BYTES + 1)), name="send")
            ended = group.create_task(ending_of(pair[1]), name="receive")
        assert ended.result().code == 1009
        assert (await ending_of(pair[0])).code == 1009

    async def test_a_receiver_that_does_not_read_stops_the_sender(self, pair: Pair) -> None:
        progress: list[int] = []

        async def flood() -> None:
            for number in range(1000):
                await pair[0].send([number.to_bytes(4, "big") + bytes(100_000)])
                progress.append(number)

        task = asyncio.create_task(flood(), name="flood")
        stalled, before = 0, -1
        while stalled < 200:  # so many turns of the loop without progress
            await asyncio.sleep(0)
            stalled, before = (stalled + 1, before) if len(progress) == before else (0, len(progress))
        assert len(progress) < 1000
        for number in range(1000):
            assert int.from_bytes((await pair[1].receive())[:4], "big") == number
        await task

    async def test_closing_tells_the_peer_code_and_reason(self, pair: Pair) -> None:
        await pair[0].send([b"last"])
        async with asyncio.TaskGroup() as group:
            group.create_task(pair[0].close(4044, "busy"), name="close")
            last = group.create_task(pair[1].receive(), name="receive")
        assert last.result() == b"last"
        for connection in pair[::-1]:
            ended = await ending_of(connection)
            assert (ended.code, ended.reason) == (4044, "busy")
            with pytest.raises(ConnectionClosed):
                await connection.send([b"more"])

    async def test_closing_again_does_nothing(self, pair: Pair) -> None:
        await pair[0].close(4000, "first")
        await pair[0].close(4001, "second")
        await pair[1].close(4002, "third")
        assert (await ending_of(pair[1])).code == 4000

    async def test_closing_wakes_a_waiting_receiver_of_ones_own(self, pair: Pair) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(ending_of(pair[0]), name="receive")
            await asyncio.sleep(0)
            group.create_task(pair[0].close(4000, "done"), name="close")
        assert waiting.result().code == 4000

    async def test_a_long_reason_is_cut_not_refused(self, pair: Pair) -> None:
        await pair[0].close(4000, "é" * 500)
        assert (await ending_of(pair[1])).reason.startswith("é" * 50)

    async def test_the_peer_has_an_address(self, pair: Pair) -> None:
        assert all(connection.peer_address for connection in pair)

    async def _send_until_closed(self, connection: Connection, frame: bytes) -> None:
        try:
            await connection.send([frame])
        except ConnectionClosed:
            return
