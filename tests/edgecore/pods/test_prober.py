"""The prober against real sockets on loopback, and a runtime in memory."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgecore.pods.events import HookEnded, ProbeEnded, RunHook, RunProbe
from edgecore.pods.lifecycles import Hook
from edgecore.pods.prober import MESSAGE_CHARACTERS, PROBES_AT_ONCE, Prober
from edgecore.pods.probes import Outcome, ProbeKind, ProbeSpec
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ExecResult
from edgecore.pods.runtimes.memory import MemoryHost, MemoryRuntime
from protocol.objects.keys import Body, Uid
from tests.support.pods import a_pod
from tests.support.servercertificates import self_signed
from tests.support.waiting import aeventually

LOOPBACK = "127.0.0.1"
SUCCESS, WARNING, FAILURE, UNKNOWN = Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE, Outcome.UNKNOWN
POD = a_pod(containers=[{"name": "main", "image": "i", "command": ["x"], "env": [{"name": "A", "value": "1"}]}])
MAIN = ContainerId(Uid("u1"), "main", 0)


@dataclass
class Bench:
    """A prober of one pod, whose answers are kept."""

    host: MemoryHost = field(default_factory=lambda: MemoryHost(lambda: 1000.0))
    answers: list[ProbeEnded | HookEnded] = field(default_factory=list)
    address: str = LOOPBACK
    host_ip: str = "192.0.2.1"
    known: bool = True

    def __post_init__(self) -> None:
        runtime = MemoryRuntime(self.host)
        self.prober = Prober(
            pod_of=lambda uid: POD if self.known else None,
            address_of=lambda uid: self.address,
            host_ip=self.host_ip,
            runtime_of=lambda pod: runtime,
            answer=self.answers.append,
        )
        self.runtime = runtime

    async def run(self, instruction: RunProbe | RunHook) -> ProbeEnded | HookEnded:
        async with asyncio.TaskGroup() as tasks:
            self.prober.open(tasks)
            self.prober.add(instruction)
        return self.answers.pop()

    async def probe(self, timeout_s: float = 20.0, **action: Any) -> tuple[Outcome, str]:
        spec = ProbeSpec(ProbeKind.LIVENESS, action, timeout_s=timeout_s)
        answer = await self.run(RunProbe(MAIN, spec))
        assert isinstance(answer, ProbeEnded)
        assert (answer.container, answer.kind) == (MAIN, ProbeKind.LIVENESS)
        return answer.outcome, answer.message

    async def hook(self, timeout_s: float = 20.0, **action: Any) -> str:
        answer = await self.run(RunHook(MAIN, Hook.PRE_STOP, action, timeout_s))
        assert isinstance(answer, HookEnded)
        return answer.error

    async def start(self) -> None:
        await self.runtime.start(ContainerSpec(MAIN, "default", "web", "i", ("x",)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, LOOPBACK, 0, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@asynccontextmanager
async def answering(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve each answer once, the last again and again; yield the port and the request lines that come."""
    left, asked = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0].decode())
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    async with server(serve, tls) as port:
        yield port, asked


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def http(status: str, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "Content-Length: 0"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class TestHttp:
    @pytest.mark.parametrize(
        ("status", "outcome", "message"),
        [
            ("200 OK", SUCCESS, ""),
            ("304 Not Modified", SUCCESS, ""),
            ("399 Whatever", SUCCESS, ""),
            ("400 Bad Request", FAILURE, "HTTP probe failed with statuscode: 400"),
            ("503 Busy", FAILURE, "HTTP probe failed with statuscode: 503"),
        ],
    )
    async def test_the_status_decides(self, bench: Bench, status: str, outcome: Outcome, message: str) -> None:
        async with answering(http(status)) as (port, asked):
            assert await bench.probe(httpGet={"port": port, "path": "/live"}) == (outcome, message)
        assert asked == ["GET /live HTTP/1.1"]

    async def test_redirections_to_the_same_host_are_followed(self, bench: Bench) -> None:
        async with answering(http("302 Found", Location="/next"), http("500 Error")) as (port, asked):
            assert (await bench.probe(httpGet={"port": port}))[0] is FAILURE
        assert asked == ["GET / HTTP/1.1", "GET /next HTTP/1.1"]

    async def test_redirections_to_another_host_are_a_warning(self, bench: Bench) -> None:
        async with answering(http("301 Moved", Location="http://other.test/")) as (port, asked):
            outcome, message = await bench.probe(httpGet={"port": port})
        assert outcome is WARNING
        assert "other.test" in message
        assert len(asked) == 1

    async def test_redirections_end(self, bench: Bench) -> None:
        async with answering(http("302 Found", Location="/")) as (port, asked):
            outcome, message = await bench.probe(httpGet={"port": port})
        assert (outcome, len(asked)) == (FAILURE, 10)
        assert message.endswith("stopped after 10 redirects")

    async def test_certificates_are_not_checked(self, bench: Bench) -> None:
        async with answering(http("200 OK"), tls=self_signed()) as (port, _):
            assert await bench.probe(httpGet={"port": port, "scheme": "HTTPS"}) == (SUCCESS, "")
            assert (await bench.probe(httpGet={"port": port, "scheme": "HTTP"}))[0] is FAILURE

    async def test_a_server_that_does_not_answer(self, bench: Bench) -> None:
        async with server(silence) as port:
            outcome, message = await bench.probe(0.1, httpGet={"port": port})
        assert outcome is FAILURE
        assert message.endswith("context deadline exceeded after 0.1s")

    @pytest.mark.parametrize(
        "answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 99999]
    )
    async def test_a_server_that_speaks_something_else(self, bench: Bench, answer: bytes) -> None:
        async with answering(answer) as (port, _):
            assert (await bench.probe(httpGet={"port": port}))[0] is FAILURE

    async def test_nobody_listens(self, bench: Bench) -> None:
        async with server(silence) as port:
            pass
        outcome, message = await bench.probe(httpGet={"port": port})
        assert outcome is FAILURE
        assert message.startswith(f"Get 'http://127.0.0.1:{port}/'")

    async def test_a_port_of_no_such_name_is_nobodys_failure(self, bench: Bench) -> None:
        assert await bench.probe(httpGet={"port": "web"}) == (UNKNOWN, "couldn't find port: 'web'")


class TestTcp:
    async def test_a_port_that_is_open(self, bench: Bench) -> None:
        async with server(silence) as port:
            assert await bench.probe(tcpSocket={"port": port}) == (SUCCESS, "")

    async def test_a_port_that_is_closed(self, bench: Bench) -> None:
        async with server(silence) as port:
            pass
        outcome, message = await bench.probe(tcpSocket={"port": port})
        assert outcome is FAILURE
        assert message.startswith(f"dial tcp 127.0.0.1:{port}: ")

    async def test_a_host_of_its_own(self, bench: Bench) -> None:
        bench.address = "192.0.2.9"
        async with server(silence) as port:
            assert await bench.probe(tcpSocket={"port": port, "host": LOOPBACK}) == (SUCCESS, "")


class TestAddress:
    @pytest.mark.parametrize("address", ["192.0.2.1", ""])
    async def test_a_device_without_its_address_is_reached_by_loopback(self, bench: Bench, address: str) -> None:
        bench.address = address
        async with server(silence) as port:
            assert await bench.probe(tcpSocket={"port": port}) == (SUCCESS, "")


class TestGrpc:
    async def test_a_server_that_is_none(self, bench: Bench) -> None:
        async with answering(http("400 Bad Request")) as (port, _):
            assert (await bench.probe(grpc={"port": port, "service": "x"}))[0] is FAILURE

    async def test_a_server_that_serves(self, bench: Bench) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.readexactly(24)).startswith(b"PRI")
            settings, data = bytes(3) + b"\4" + bytes(5), b"\0\0\7\0\0\0\0\0\1" + b"\0\0\0\0\2\x08\1"
            writer.write(settings + data)
            await reader.read()

        async with server(serve) as port:
            assert await bench.probe(grpc={"port": port}) == (SUCCESS, "")


class TestExec:
    @pytest.mark.parametrize(
        ("code", "output", "outcome", "message"),
        [
            (0, b"fine\n", SUCCESS, "fine"),
            (1, b"bad \xff", FAILURE, "bad �"),
            (127, b"x: not found", FAILURE, "x: not found"),
        ],
    )
    async def test_the_exit_code_decides(
        self, bench: Bench, code: int, output: bytes, outcome: Outcome, message: str
    ) -> None:
        await bench.start()
        bench.host.answers["check", "1"] = ExecResult(code, output)
        assert await bench.probe(exec={"command": ["check", "$(A)"]}) == (outcome, message)
        assert bench.host.execs == [(MAIN, ("check", "1"))]

    async def test_a_command_that_hangs_fails(self, bench: Bench) -> None:
        await bench.start()
        bench.host.answers["hang",] = None
        expected = (FAILURE, 'command timed out: "hang" timed out after 0.05s')
        assert await bench.probe(0.05, exec={"command": ["hang"]}) == expected

    async def test_output_is_cut_to_what_an_event_holds(self, bench: Bench) -> None:
        await bench.start()
        bench.host.answers["check",] = ExecResult(1, b"x" * 9999)
        _, message = await bench.probe(exec={"command": ["check"]})
        assert len(message) == MESSAGE_CHARACTERS + 1

    async def test_an_instance_that_is_gone_is_nobodys_failure(self, bench: Bench) -> None:
        assert (await bench.probe(exec={"command": ["check"]}))[0] is UNKNOWN

    async def test_a_host_that_fails_is_nobodys_failure(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fails(*args: object) -> ExecResult:
            raise OSError(5, "disk on fire")

        monkeypatch.setattr(bench.runtime, "exec", fails)
        outcome, message = await bench.probe(exec={"command": ["check"]})
        assert (outcome, "disk on fire" in message) == (UNKNOWN, True)


@pytest.mark.parametrize("action", [{}, {"shout": {}}])
async def test_a_probe_without_a_handler(bench: Bench, action: Body) -> None:
    assert await bench.probe(**action) == (UNKNOWN, "missing probe handler")


async def test_a_pod_that_is_gone(bench: Bench) -> None:
    bench.known = False
    assert (await bench.probe(tcpSocket={"port": 1}))[0] is UNKNOWN
    assert await bench.hook(sleep={"seconds": 0}) == "the pod is gone"


class TestHooks:
    async def test_a_command(self, bench: Bench) -> None:
        await bench.start()
        assert await bench.hook(exec={"command": ["x"]}) == ""
        bench.host.answers["x",] = ExecResult(3, b"no\n")
        assert await bench.hook(exec={"command": ["x"]}) == "command 'x' exited with 3: no"
        bench.host.answers["x",] = None
        assert "0.05 s" in await bench.hook(0.05, exec={"command": ["x"]})

    async def test_any_answer_to_a_request_will_do(self, bench: Bench) -> None:
        async with answering(http("500 Error")) as (port, asked):
            assert await bench.hook(httpGet={"port": port, "path": "/stop"}) == ""
        assert asked == ["GET /stop HTTP/1.1"]
        assert await bench.hook(httpGet={"port": port}) != ""

    async def test_a_request_without_answer(self, bench: Bench) -> None:
        async with server(silence) as port:
            assert await bench.hook(0.05, httpGet={"port": port}) == "it did not end within 0.05s"

    async def test_a_sleep(self, bench: Bench) -> None:
        assert await bench.hook(sleep={"seconds": 0}) == ""
        assert await bench.hook(0.05, sleep={"seconds": 100}) == "it did not end within 0.05s"

    @pytest.mark.parametrize("action", [{}, {"tcpSocket": {"port": 1}}])
    async def test_what_is_no_hook(self, bench: Bench, action: Body) -> None:
        assert "invalid handler" in await bench.hook(**action)


class TestManyAtOnce:
    async def test_so_many_are_carried_out_and_the_others_wait(self, bench: Bench) -> None:
        open_now: set[asyncio.StreamWriter] = set()
        most, release = 0, asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most
            open_now.add(writer)
            most = max(most, len(open_now))
            await release.wait()
            open_now.discard(writer)
            writer.write(http("200 OK"))
            await writer.drain()

        async with server(serve) as port, asyncio.TaskGroup() as tasks:
            bench.prober.open(tasks)
            spec = ProbeSpec(ProbeKind.READINESS, {"httpGet": {"port": port}}, timeout_s=60)
            for number in range(3 * PROBES_AT_ONCE):
                bench.prober.add(RunProbe(ContainerId(Uid("u1"), "main", number), spec))
            await aeventually(lambda: len(open_now) == PROBES_AT_ONCE)
            release.set()
        assert most == PROBES_AT_ONCE
        assert {answer.container.attempt for answer in bench.answers} == set(range(3 * PROBES_AT_ONCE))

    async def test_what_is_under_way_is_broken_off_at_the_end(self, bench: Bench) -> None:
        async with server(silence) as port, asyncio.TaskGroup() as tasks:
            bench.prober.open(tasks)
            bench.prober.add(RunProbe(MAIN, ProbeSpec(ProbeKind.READINESS, {"httpGet": {"port": port}}, timeout_s=600)))
            bench.prober.add(RunHook(MAIN, Hook.PRE_STOP, {"sleep": {"seconds": 600}}, 600))
            await aeventually(lambda: len(bench.prober._running) == 2)
            bench.prober.close()
            bench.prober.add(RunHook(MAIN, Hook.PRE_STOP, {"sleep": {"seconds": 0}}, 600))
        assert bench.answers == []
