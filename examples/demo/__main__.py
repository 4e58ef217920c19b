"""``make demo``: from nothing to an app that outlives its link and its agent, in about a minute."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from cloudcore.errors import AlreadyExists
from cloudcore.rest import RestClient
from examples.demo.processes import Cloud, Edge, Gate, StepFailed, command, processes_in, until
from protocol.errors import AiokubeedgeError
from protocol.objects.conditions import is_true
from protocol.objects.keys import Body

MANIFESTS = Path(__file__).parent.parent / "edge-app"
HERE, ELSEWHERE = "edge-node-01", "edge-node-02"
RESOURCES = {"Deployment": "deployments.apps", "ConfigMap": "configmaps"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the closing table."""

    step: str
    seen: str
    took_s: float


class Demo:
    """The story, step by step. Each step raises :class:`StepFailed` when what it shows does not come about."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.console = console
        self.cloud = Cloud(folder / "cloud", "--heartbeat-s=2", "--node-grace-s=8")
        self.edges = {name: Edge(folder / name, name) for name in (HERE, ELSEWHERE)}
        self.shown: list[Shown] = []
        self.port = 0
        self.app_pid = ""

    async def play(self, gate: Gate, api: RestClient) -> None:
        """Play every step after the cloud is up."""
        await self._step("both devices join and become Ready", lambda: self.devices_join(gate, api))
        await self._step(
            "kubectl apply of examples/edge-app: Running on its node, not on the other", lambda: self.apply(api)
        )
        await self._step("a changed ConfigMap reaches the running app", lambda: self.change(api, "good evening"))
        await self._step("the link is cut: the cloud notices, the app serves on", lambda: self.cut(gate, api))
        await self._step("the agent is killed (SIGKILL) and restarted while cut off: the app is adopted", self.restart)
        await self._step(
            "the link returns: the change made meanwhile arrives, nothing was restarted",
            lambda: self.reconnect(gate, api),
        )

    async def _step(self, title: str, action: Callable[[], Awaitable[str]]) -> None:
        started = time.monotonic()
        with self.console.status(f"{title} …"):
            seen = await action()
        took_s = time.monotonic() - started
        self.shown.append(Shown(title, seen, took_s))
        self.console.print(f"[green]✓[/] {title} [dim]({took_s:.1f} s)[/]")

    async def start_cloud(self) -> None:
        """Start the cloud, first run included."""

        async def start() -> str:
            await self.cloud.start()
            return f"API on port {self.cloud.ports['api_port']}, one process, SQLite"

        await self._step("cloudcore starts from nothing", start)

    async def devices_join(self, gate: Gate, api: RestClient) -> str:
        """Join both devices, the first one through the gate."""
        for name, edge in self.edges.items():
            await edge.join(self.cloud)
            await edge.start("--stop-pods", *([f"--hub=wss://127.0.0.1:{gate.port}"] if name == HERE else []))
        for name in self.edges:
            await until(f"node {name} is Ready", lambda name=name: _node_is(api, name, "True"))  # type: ignore[misc]
        return ", ".join(self.edges)

    async def apply(self, api: RestClient) -> str:
        """Apply the example through the API and see where it runs."""
        self.port = _free_port()
        for body in _manifests():
            if body["kind"] == "ConfigMap" and "port" in body["data"]:
                body["data"]["port"] = str(self.port)
            body["metadata"].setdefault("namespace", "default")
            with contextlib.suppress(AlreadyExists):
                await api.create(RESOURCES[body["kind"]], body)
        pod = await until("the pod is Running", lambda: _running_pod(api))
        if pod["spec"]["nodeName"] != HERE:
            raise StepFailed(f"the pod runs on {pod['spec']['nodeName']}, not on {HERE}")
        answer = await until("the app answers", self.ask)
        self.app_pid = _pid_in(answer)
        return f"{pod['metadata']['name']}: {answer.strip()}"

    async def change(self, api: RestClient, greeting: str) -> str:
        """Patch the ConfigMap and wait for the app to say it."""
        await api.patch("configmaps", "default", "edge-app", {"data": {"greeting": greeting}})
        return (await until(f"the app says {greeting!r}", lambda: self.hears(greeting))).strip()

    async def cut(self, gate: Gate, api: RestClient) -> str:
        """Shut the gate until the cloud calls the node NotReady; the app must answer all along."""
        gate.shut()
        await until("the cloud notices", lambda: _node_is(api, HERE, "Unknown"))
        answer = await self.ask()
        if answer is None or _pid_in(answer) != self.app_pid:
            raise StepFailed("the app stopped serving when the link was cut")
        pods = await _pods(api)
        if len(pods) != 1 or pods[0]["metadata"].get("deletionTimestamp"):
            raise StepFailed("the cloud gave the pod up")
        return f"node NotReady, pod kept; {answer.strip()}"

    async def restart(self) -> str:
        """Kill the agent, see the app go on, start the agent with no cloud in reach."""
        edge = self.edges[HERE]
        await edge.daemon.kill()
        answer = await self.ask()
        if answer is None or _pid_in(answer) != self.app_pid:
            raise StepFailed("the app died with the agent")
        await edge.daemon.start()
        listing = await until("the agent has adopted the pod", lambda: _pods_at_the_edge(edge))
        again = await until("the app answers", self.ask)
        if _pid_in(again) != self.app_pid:
            raise StepFailed("the agent started the app anew instead of adopting it")
        return f"same pid {self.app_pid}; `edgecore pods`: {listing}"

    async def reconnect(self, gate: Gate, api: RestClient) -> str:
        """Change the ConfigMap while cut off, open the gate, see the change and the same process."""
        await api.patch("configmaps", "default", "edge-app", {"data": {"greeting": "welcome back"}})
        gate.reopen()
        answer = await until("the change arrives", lambda: self.hears("welcome back"), within_s=90)
        await until("the node is Ready again", lambda: _node_is(api, HERE, "True"))
        pod = await until("the pod is Running", lambda: _running_pod(api))
        restarts = pod["status"]["containerStatuses"][0]["restartCount"]
        if _pid_in(answer) != self.app_pid or restarts or len(await _pods(api)) != 1:
            raise StepFailed("a pod was restarted, doubled or forgotten")
        return f"{answer.strip()}, 0 restarts, 1 pod"

    async def ask(self) -> str | None:
        """Return what the app answers, or None when it does not."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return None
        try:
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        except OSError:
            return None
        finally:
            writer.close()
        return body.decode() if b" 200 " in head else None

    async def hears(self, greeting: str) -> str | None:
        """Return the app's answer once it holds ``greeting``."""
        answer = await self.ask()
        return answer if answer and greeting in answer else None

    async def stop(self) -> None:
        """Stop everything: the edges with their pods first."""
        for edge in self.edges.values():
            await edge.daemon.stop()
        await self.cloud.daemon.stop()


def _manifests() -> list[Body]:
    """Return the example's objects, configuration first."""
    bodies = [body for path in sorted(MANIFESTS.glob("*.yaml")) for body in yaml.safe_load_all(path.read_text())]
    return [body for body in bodies if body]


async def _pods(api: RestClient) -> list[Body]:
    return await api.list("pods", "default", label_selector="app=sensor-processor")


async def _running_pod(api: RestClient) -> Body | None:
    pods = await _pods(api)
    ready = [pod for pod in pods if is_true((pod.get("status") or {}).get("conditions"), "Ready")]
    return ready[0] if len(ready) == 1 else None


async def _node_is(api: RestClient, name: str, status: str) -> bool:
    node = await api.get("nodes", "", name)
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == status for item in conditions)


async def _pods_at_the_edge(edge: Edge) -> str | None:
    listing = await command("edgecore", "pods", f"--data-dir={edge.data_dir}", check=False)
    lines = [line for line in listing.splitlines() if "edge-app" in line and "Running" in line]
    return " ".join(lines[0].split()[:4]) if lines else None


def _pid_in(answer: str) -> str:
    return answer.partition("(pid ")[2].partition(" ")[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _left_behind(folder: Path) -> list[str]:
    """Return the processes of the demo in ``folder`` that do not end within a few seconds."""
    for _ in range(50):
        found = processes_in(folder)
        if not found:
            break
        await asyncio.sleep(0.1)
    return [str(process) for process in found]


def _closing_table(shown: list[Shown]) -> Table:
    table = Table(title="What was shown", title_justify="left", header_style="bold")
    table.add_column("step")
    table.add_column("seen", overflow="fold")
    table.add_column("took", justify="right")
    for line in shown:
        table.add_row(line.step, line.seen, f"{line.took_s:.1f} s")
    return table


@contextlib.asynccontextmanager
async def _scratch(keep: bool) -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="aiokubeedge-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _run(*, keep: bool, console: Console) -> int:
    async with _scratch(keep) as folder:
        demo = Demo(folder, console)
        failure: AiokubeedgeError | None = None
        try:
            await demo.start_cloud()
            async with Gate(demo.cloud.ports["ws_port"]) as gate, demo.cloud.client() as api:
                await demo.play(gate, api)
                console.print(_closing_table(demo.shown))
                if keep:
                    await _wait_for_the_user(demo, console)
        except AiokubeedgeError as error:
            failure = error
            console.print(f"[red]✗[/] {error}", highlight=False)
            for daemon in (demo.cloud.daemon, *(edge.daemon for edge in demo.edges.values())):
                console.print(f"[dim]── {daemon.name}: end of its log ──\n{daemon.tail(15)}[/]", markup=True)
        finally:
            await demo.stop()
        left = await _left_behind(folder)
        for line in left:
            console.print(f"[red]left behind:[/] {line}")
        return 1 if failure or left else 0


async def _wait_for_the_user(demo: Demo, console: Console) -> None:
    console.print("\nIt runs on. In another terminal:\n")
    console.print(f"  export KUBECONFIG={demo.cloud.kubeconfig}", soft_wrap=True)
    console.print(f"  kubectl get pods -o wide\n  curl http://127.0.0.1:{demo.port}\n\nPress Ctrl-C to end it.")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def main() -> None:
    """Play the demo; exit status 1 when a step failed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    keep = parser.parse_args().keep
    try:
        status = asyncio.run(_run(keep=keep, console=Console()))
    except KeyboardInterrupt:
        status = 0 if keep else 130
    sys.exit(status)


if __name__ == "__main__":
    main()
