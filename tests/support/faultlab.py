"""One run of the fault lab: a real cloud, real edges, bad networks, writers, and a schedule of what goes wrong.

Runs inside namespaces of its own (``tests/support/faultruns.py`` makes them), so whatever it starts, mounts or
configures ends with them. One task owns each daemon's supervision, each fault, each writer and the sampling; faults
of one daemon take turns, those of different daemons overlap.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import aiohttp
import psutil

from cloudcore.errors import ApiError
from cloudcore.hub.figures import PERIOD_S as FIGURES_PERIOD_S
from cloudcore.rest import RestClient, ServerUnreachable
from cloudcore.sockets import DATABASE
from cloudcore.store.base import Record
from edgecore.meta.engine import Snapshot
from examples.demo.processes import command, until
from protocol.objects.keys import ObjectKey, Revision, Uid
from protocol.objects.resources import NODE_LINKS, NODE_SYNCS, PODS
from tests.support.clusters import Cluster, held_by, link_of, log_lines, pod_processes, status_of
from tests.support.faultjudge import CloudDisk, Evidence, Sample, at_rest, in_the_end
from tests.support.faultschedule import CLOUD, Fault, Kind, Scope, plan
from tests.support.faultsites import CLOUD_DISK_KIB, EDGE_DISK_KIB, GRACE_S, LabCloud, LabEdge, Site, mount
from tests.support.faultworkload import Tolerant, Writer
from tests.support.netlab import CLOUD_ADDRESS, FINE, Link, RelayedLink, WiredLink, prepare
from tests.support.simulatedusers import Memory
from tests.support.wallclocks import WallClock, build

NODES = ("e1", "e2", "e3")
WIRED = ("e3",)
NAMESPACES = ("alpha", "beta")
SETTLE_S = 120.0
SAMPLE_S = 0.5
REQUEST_S = 300.0
WARM_CHANGES = 60


@dataclass(frozen=True, slots=True)
class Transport:
    """Which way the link goes.

    Attributes:
        scheme: Of the hub's address.
        port: The setting that holds its port.
    """

    scheme: str
    port: str


TRANSPORTS = {"websocket": Transport("wss", "ws_port")}


@dataclass
class Lab:
    """Everything of one run.

    Args:
        folder: Where everything is.
        seed: Of the schedule, the writers and the weather.
        transport: How edges reach the hub.
    """

    folder: Path
    seed: int
    transport: Transport
    links: dict[str, Link] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    edges: dict[str, LabEdge] = field(default_factory=dict)
    writers: list[Writer] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    rolled_back: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    @property
    def evidence_folder(self) -> Path:
        """Where pods write."""
        return self.folder / "pods"

    async def run(self, faults: list[Fault]) -> list[str]:
        """Play ``faults`` and return what is wrong."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            async with asyncio.TaskGroup() as tasks:
                watching = [tasks.create_task(site.supervise(), name=name) for name, site in self.sites.items()]
                watching.append(tasks.create_task(self._sample(), name="samples"))
                await self._warm_up()
                before = {name: self._look(name) for name in self.sites}
                await self._play(faults)
                wrong = await self._settle()
                after = {name: self._look(name) for name in self.sites}
                after[CLOUD] = await self._metered_at_rest(after[CLOUD])
                resumes = {} if wrong else await self._restart_edges()
                if not wrong:
                    await self._settle()
                evidence = self._evidence()
                evidence.before, evidence.after, evidence.resumes = before, after, resumes
                for task in watching:
                    task.cancel()
            evidence.surprises = [*self.surprises, *(each for site in self.sites.values() for each in site.surprises)]
            wrong = in_the_end(evidence)
            if wrong:
                await self._keep()
            else:
                wrong += await self._end()
            self._note("figures", f"before {before}\nafter {evidence.after}\nsamples {len(self.samples)}")
            return wrong

    # Building it up.

    async def _open(self, stack: AsyncExitStack) -> None:
        await prepare()
        self.evidence_folder.mkdir()
        self._library = build(self.folder)
        disk = await mount(self.folder / CLOUD / "data", CLOUD_DISK_KIB)
        self._cloud = LabCloud(self.folder / CLOUD)
        self.sites[CLOUD] = Site(self._cloud.daemon, disk, self._clock(CLOUD), self._cloud.launch)
        await self._cloud.start()
        self._client = await stack.enter_async_context(RestClient(self._cloud.kubeconfig, timeout_s=REQUEST_S))
        self._cluster = Cluster(self.folder, self._cloud, self._client)
        self._http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(1.0)))
        async with asyncio.TaskGroup() as tasks:
            for number, node in enumerate(NODES, 1):
                tasks.create_task(self._add_edge(number, node, stack), name=node)
        self.api = Tolerant(self._client)
        for namespace in NAMESPACES:
            await self._client.create("namespaces", {"metadata": {"name": namespace}})
            rng = Random(f"{self.seed} {namespace}")
            self.writers.append(Writer(self.api, namespace, NODES, self.evidence_folder, rng))

    async def _add_edge(self, number: int, node: str, stack: AsyncExitStack) -> None:
        link = WiredLink(node, number) if node in WIRED else RelayedLink(node, number, self.seed)
        self.links[node] = link
        stack.push_async_callback(link.close)
        await link.open()
        disk = await mount(self.folder / node / "data", EDGE_DISK_KIB)
        hub = f"{self.transport.scheme}://{CLOUD_ADDRESS}:{self._cloud.ports[self.transport.port]}"
        edge = self.edges[node] = LabEdge(self.folder / node, link, hub)
        await self._cluster.join(edge, {})
        self.sites[node] = Site(edge.daemon, disk, self._clock(node), edge.daemon.start)
        await edge.daemon.start()
        await self._cluster.node_is(node, "True")

    def _clock(self, name: str) -> WallClock:
        return WallClock(self._library, self.folder / f"{name}.clock")

    async def _warm_up(self) -> None:
        """Have every part worked once, so that the memory measured then is that of a daemon at work."""
        for _ in range(WARM_CHANGES):
            for writer in self.writers:
                await writer.step()

    # Playing.

    async def _play(self, faults: list[Fault]) -> None:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for writer in self.writers:
                tasks.create_task(writer.run(over), name=f"writer {writer.user.namespace}")
            async with asyncio.TaskGroup() as happening:
                turns = {node: asyncio.Lock() for node in self.links}
                for fault in faults:
                    happening.create_task(self._strike(fault, turns), name=str(fault))
            over.set()

    async def _strike(self, fault: Fault, turns: dict[str, asyncio.Lock]) -> None:
        await asyncio.sleep(fault.at_s)
        site = self.sites[fault.target]
        self._note("faults", f"{time.monotonic() - self.began:7.2f} s begins: {fault}")
        if fault.kind is Kind.WEATHER:
            async with turns[fault.target]:
                await self.links[fault.target].impose(fault.weather)
                await asyncio.sleep(fault.for_s)
                await self.links[fault.target].impose(FINE)
        elif fault.kind is Kind.KILL:
            await site.kill()
        elif fault.kind is Kind.PAUSE:
            await site.pause(fault.for_s)
        elif fault.kind is Kind.FULL_DISK:
            await site.fill_disk(fault.for_s)
        elif fault.kind is Kind.CLOCK:
            await site.step_clock(fault.step_s, fault.for_s)
        elif fault.kind is Kind.RESTORE:
            await self._back_up_and_restore(site, fault.for_s)
        self._note("faults", f"{time.monotonic() - self.began:7.2f} s ended:  {fault}")

    async def _back_up_and_restore(self, site: Site, after_s: float) -> None:
        target = self.folder / "backup.db"
        data = f"--data-dir={self._cloud.data_dir}"
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(site.disk_turn)
            await stack.enter_async_context(site.turn)
            await self._hush(stack)
            await command("cloudcore", "backup", data, str(target))
            memories: list[dict[ObjectKey, Memory]] = [writer.remember() for writer in self.writers]
        self.rolled_back |= {
            str(record.uid) for key, record in read_cloud(target).records.items() if key.resource == PODS
        }
        await asyncio.sleep(after_s)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(site.down())
            await self._hush(stack)
            await command("cloudcore", "restore", data, str(target))
            for writer, memory in zip(self.writers, memories, strict=True):
                writer.forget(memory)

    async def _hush(self, stack: AsyncExitStack) -> None:
        """Have no writer in the middle of a change."""
        for writer in self.writers:
            await stack.enter_async_context(writer.turn)

    # Looking.

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.samples.append(await self._metered(Sample(time.monotonic() - self.began, 0)))

    def _look(self, name: str) -> Sample:
        with suppress(psutil.NoSuchProcess):
            rss = psutil.Process(self.sites[name].daemon.pid).memory_info().rss
            return Sample(time.monotonic() - self.began, rss)
        return Sample(time.monotonic() - self.began, 0)

    async def _metered_at_rest(self, sample: Sample) -> Sample:
        """Add the metrics, once what they say is of the time after the settling: they are added up now and then."""
        until_at = time.monotonic() + 3 * FIGURES_PERIOD_S
        while True:
            metered = await self._metered(sample)
            if metered.metrics.get("outbox_items") == 0 or time.monotonic() > until_at:
                return metered
            await asyncio.sleep(0.5)

    async def _metered(self, sample: Sample) -> Sample:
        metrics: dict[str, float] = {}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._http.get(f"http://127.0.0.1:{self._cloud.ports['metrics_port']}/metrics") as answer:
                for line in (await answer.text()).splitlines():
                    if line.startswith("aiokubeedge_"):
                        name = line.split("{")[0].split(" ")[0].removeprefix("aiokubeedge_")
                        metrics[name] = metrics.get(name, 0.0) + float(line.rpartition(" ")[2])
        return Sample(sample.at_s, sample.rss_bytes, metrics)

    def _evidence(self) -> Evidence:
        starts = self.evidence_folder / "starts"
        return Evidence(
            read_cloud(self._cloud.data_dir / DATABASE),
            {node: _held(edge) for node, edge in self.edges.items()},
            [writer.user for writer in self.writers],
            starts=starts.read_text().splitlines() if starts.exists() else (),
            rolled_back=frozenset(self.rolled_back),
            running={node: pod_processes(edge) for node, edge in self.edges.items()},
            phases={node: link_of(edge).get("phase", "") for node, edge in self.edges.items()},
            owed={node: status_of(edge)["owed"] for node, edge in self.edges.items()},
            samples=self.samples,
            logs={name: site.daemon.log_path.read_text(errors="replace") for name, site in self.sites.items()},
        )

    async def _settle(self) -> list[str]:
        """Leave everything in peace until it is at rest, and return what is wrong if it does not come to rest."""
        began = time.monotonic()
        async with asyncio.timeout(SETTLE_S):
            for writer in self.writers:
                await writer.settle()
        while True:
            wrong = at_rest(self._evidence())
            if not wrong or time.monotonic() - began > SETTLE_S:
                self._note("faults", f"{'at rest' if not wrong else 'no rest'} after {time.monotonic() - began:.1f} s")
                return wrong
            await asyncio.sleep(SAMPLE_S)

    async def _restart_edges(self) -> dict[str, str]:
        """Restart every agent, and return how each one's session is resumed: it holds everything already.

        One that was slow to come back is left out: the cloud may have tainted its Node, which it then has to be sent.
        """
        resumes = {}
        for node, edge in self.edges.items():
            site, began = self.sites[node], time.monotonic()
            async with site.turn:
                before = len(_resumes(edge))
                code = await edge.daemon.stop()
                if code:
                    self.surprises.append(f"{node} stopped with status {code}")
                await edge.daemon.start()
            how = await until(f"{node} is back", partial(_resumed, edge, before))
            if time.monotonic() - began < GRACE_S / 2:
                resumes[node] = how
        return resumes

    # Taking it down.

    async def _keep(self) -> None:
        """Keep what a search for the cause needs: the disks, which go with the namespace, and the cloud's view."""
        kept = self.folder / "kept"
        for name, site in self.sites.items():
            shutil.copytree(site.data_dir, kept / name, ignore=_uninteresting, symlinks=True)
        for resource in (NODE_LINKS, NODE_SYNCS, PODS):
            with suppress(ApiError, ServerUnreachable):
                (kept / f"{resource}.json").write_text(json.dumps(await self._client.list(resource), indent=1))

    async def _end(self) -> list[str]:
        """Delete every pod, stop every daemon, and return what is wrong or left behind."""
        wrong = []
        for writer in self.writers:
            for body in await self._client.list(PODS, writer.user.namespace):
                await self._client.delete(PODS, writer.user.namespace, body["metadata"]["name"])
        await until("no pod is left", self._no_pods)
        for name, site in reversed(self.sites.items()):
            code = await site.daemon.stop()
            if code:
                wrong.append(f"{name} stopped with status {code}:\n{site.daemon.tail(5)}")
        relays = {"tests.support.tunrelay"}
        for process in psutil.process_iter(["cmdline", "status", "ppid"]):
            line = process.info["cmdline"] or []
            if process.pid > 2 and process.info["status"] != psutil.STATUS_ZOMBIE and not relays & set(line):
                wrong.append(f"left behind: {process.pid} {' '.join(line)}")
        return wrong

    async def _no_pods(self) -> bool:
        listed = [body for each in NAMESPACES for body in await self._client.list(PODS, each)]
        return not listed and not any(pod_processes(edge) for edge in self.edges.values())

    def _note(self, name: str, line: str) -> None:
        with (self.folder / f"{name}.log").open("a") as file:
            file.write(f"{line}\n")


def read_cloud(path: Path) -> CloudDisk:
    """Return what the cloud's database at ``path`` holds, while the daemon runs or not."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout=2000")
        connection.execute("BEGIN")  # one consistent view over both tables
        (incarnation,) = connection.execute("SELECT value FROM meta WHERE key='incarnation'").fetchone()
        rows = connection.execute(
            "SELECT resource, namespace, name, uid, revision, content_revision, tail FROM objects"
        )
        records = {
            ObjectKey(*key): Record(ObjectKey(*key), Uid(uid), Revision(revision), Revision(content), tail)
            for *key, uid, revision, content, tail in rows
        }
    finally:
        connection.close()
    return CloudDisk(incarnation, records)


def _uninteresting(folder: str, names: list[str]) -> set[str]:
    """Name what is not kept of a folder: what filled the disk, pipes and sockets."""
    return {
        name for name in names if name == "ballast" or not Path(folder, name).is_file() | Path(folder, name).is_dir()
    }


def _held(edge: LabEdge) -> Snapshot:
    return held_by(edge)


def _resumes(edge: LabEdge) -> list[str]:
    return [line["resume"] for line in log_lines(edge.daemon) if line["event"] == "connected"]


async def _resumed(edge: LabEdge, before: int) -> str:
    resumes = _resumes(edge)
    return resumes[-1] if len(resumes) > before else ""


async def play(folder: Path, seed: int, scope: Scope, transport: str) -> list[str]:
    """Play the seed's schedule in ``folder`` and return what is wrong."""
    faults = plan(seed, NODES, scope)
    (folder / "schedule.txt").write_text("".join(f"{fault}\n" for fault in faults))
    return await Lab(folder, seed, TRANSPORTS[transport]).run(faults)
