from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from edgecore.metrics import scraper
from edgecore.metrics.endpoints import Endpoint
from edgecore.metrics.exposition import Summary
from edgecore.metrics.scraper import AT_ONCE, MAX_BODY_BYTES, ScrapeFailed, Scraper, fetch
from protocol.objects.keys import Uid

HOST = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Endpoint]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass  # the scraper has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    try:
        yield Endpoint(server.sockets[0].getsockname()[1], "/metrics")
    finally:
        server.close()


def saying(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)

    return answer


async def test_an_endpoint_is_asked_as_http_has_it() -> None:
    heard = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK + b"http_requests_total 5\n")

    async with serving(answer) as endpoint:
        assert await fetch(HOST, endpoint) == Summary(5.0)
    assert heard[0].startswith(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n" % endpoint.port)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "302"),
        (b"", "no HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "status"),
        (b"\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, "no HTTP"),
        (OK + b"http_requests_total 5\n" + b"# x\n" * (MAX_BODY_BYTES // 4), "over"),
        (OK + b"x" * (MAX_BODY_BYTES + 1), "over"),
    ],
)
async def test_what_is_no_answer_is_none(data: bytes, why: str) -> None:
    async with serving(saying(data)) as endpoint:
        with pytest.raises(ScrapeFailed, match=why):
            await fetch(HOST, endpoint)


async def test_numbers_that_are_none_are_left_out() -> None:
    async with serving(saying(OK + b"http_requests_total NaN\ngpu_utilization -1\n\xff\x00{{{\n")) as endpoint:
        assert await fetch(HOST, endpoint) == Summary()


async def test_a_port_that_nobody_listens_on_is_no_answer() -> None:
    async with serving(saying(OK)) as endpoint:
        pass
    with pytest.raises(ScrapeFailed):
        await fetch(HOST, endpoint)


async def test_nobody_waits_for_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers a byte at a time, for ever: what bounds it is the time for the whole answer."""
    monkeypatch.setattr(scraper, "ANSWER_S", 0.05)
    hung_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        try:
            while True:
                writer.write(b"#")
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            hung_up.set()
            raise

    async with serving(answer) as endpoint:
        with pytest.raises(ScrapeFailed, match="within"):
            await fetch(HOST, endpoint)
        async with asyncio.timeout(10):
            await hung_up.wait()


async def test_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, most, let_go = 0, 0, asyncio.Event()

    async def held(host: str, endpoint: Endpoint) -> Summary:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        if asked == AT_ONCE:
            let_go.set()
        await let_go.wait()
        await asyncio.sleep(0)
        asked -= 1
        return Summary(1.0)

    monkeypatch.setattr(scraper, "fetch", held)
    targets = {Uid(f"u{number}"): (HOST, Endpoint(1, "/")) for number in range(50)}
    answers = await Scraper().scrape(targets, 0.0)
    assert len(answers) == 50
    assert most == AT_ONCE


async def test_one_that_fails_is_asked_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    now, well = 0.0, False

    async def failing(host: str, endpoint: Endpoint) -> Summary:
        asked.append(now)
        if well:
            return Summary(1.0)
        raise ScrapeFailed("no")

    monkeypatch.setattr(scraper, "fetch", failing)
    many, targets = Scraper(), {Uid("u"): (HOST, Endpoint(1, "/"))}
    for now in range(0, 1200, 10):
        await many.scrape(targets, now)
    assert asked == [0, 10, 30, 70, 150, 310, 610, 910]
    well = True
    for now in range(1200, 1240, 10):
        await many.scrape(targets, now)
    assert asked[8:] == [1210, 1220, 1230]  # it answers again: asked each time
    await many.scrape({}, 1240)
    assert not many._failed
