"""The composition root of the agent's process: builds the parts on real files and sockets, and answers signals."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from random import Random, SystemRandom
from typing import Any

import structlog

from edgecore.agent import Agent, Machine, Options
from edgecore.cgroups.controls import GroupSettings, PodGroups, open_groups
from edgecore.cgroups.shield import shield
from edgecore.hub.dialer import Dialer, client_context
from edgecore.hub.linkrecord import LinkRecord
from edgecore.hub.session import Introduction
from edgecore.hub.traffic import TrafficAccount
from edgecore.hub.validity import validity
from edgecore.live import telling
from edgecore.meta.sqlite import SqliteEngine
from edgecore.meta.store import MetaStore
from edgecore.metrics.exporter import exporting
from edgecore.metrics.exposition import written
from edgecore.metrics.gpus import Gpus
from edgecore.metrics.machine import agent_families, machine_families
from edgecore.metrics.sensors import Sensors
from edgecore.metrics.usage import UsageSource
from edgecore.node.addresses import bridge_address
from edgecore.node.facts import Facts, addresses, gather
from edgecore.node.identity import DataFolder, Identity, check_name, load_identity, offline_identity, write_private
from edgecore.node.reporter import ReporterSettings
from edgecore.node.sampler import HostSampler
from edgecore.node.status import Allotment
from edgecore.node.timefloor import TimeFloor
from edgecore.pods.apiaccess import ApiAccess
from edgecore.pods.runtimes.base import Runtime
from edgecore.pods.runtimes.process.runtime import ProcessRuntime
from edgecore.pods.runtimes.process.usage import ProcessUsage
from edgecore.pods.volumes import DiskStorage
from edgecore.scheduler.signals import HostSignals, ImageKeeper
from edgecore.settings import RELOADABLE, AgentSettings, Handover, settings_from
from edgecore.statics.folder import ManifestFolder
from edgecore.thresholds import EvictionSettings, eviction_settings
from protocol.errors import UsageError
from protocol.filelock import FileLock, LockHeld
from protocol.logs import configure_logs
from protocol.objects.durations import parse_duration
from protocol.objects.resources import PODS

log = structlog.get_logger("edgecore")


async def run_agent(handover: Handover) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        UsageError: The data folder cannot be used.
    """
    settings = handover.settings
    folder = DataFolder(settings.data_dir)
    identity = _identity(settings, folder)
    with _lock(folder):
        if not shield():
            log.info("the agent may not shield itself from the kernel's choice of victims when memory ends")
        store = MetaStore(SqliteEngine(folder.meta), identity.node)
        try:
            agent = _build(settings, folder, identity, store)
            async with (
                _metaserver(settings, folder, agent, store) as metaserver,
                asyncio.TaskGroup() as tasks,
                exporting(settings.metrics_port, _exposition(folder, agent)) as metrics,
                _bus(settings, identity, agent, tasks) as bus,
                telling(
                    folder.live,
                    lambda: {**agent.live(), "metrics": metrics, "metaserver": metaserver(), "bus": bus()},
                ),
            ):
                reloads = _Reloads(handover, tasks, agent)
                _answer_signals(agent, settings, reloads)
                log.info(
                    "agent started", node=identity.node, data_dir=str(folder.root), pods=len(agent.wanted.list(PODS))
                )
                await agent.run()
        finally:
            await store.close()
    log.info("agent stopped", pods="stopped" if settings.stop_pods else "left running")


def _identity(settings: AgentSettings, folder: DataFolder) -> Identity:
    """Return who the node is.

    Raises:
        UsageError: It has not joined and is not to run offline, or the name given is not its own.
    """
    if settings.offline:
        return offline_identity(folder, settings.node_name)
    identity = load_identity(folder)
    check_name(identity, settings.node_name)
    return identity


def _dialer(settings: AgentSettings, folder: DataFolder, identity: Identity, clock: TimeFloor) -> Dialer | None:
    if settings.offline:
        return None
    context = client_context(folder)
    with suppress(ValueError):  # of what this device's own certificate tells the time is only the lesser part
        clock.learn(validity(ssl.PEM_cert_to_DER_cert(folder.certificate.read_text()))[0])
    return Dialer(settings.hub or identity.hub.get("websocket", ()), context, clock)


def _manifests(settings: AgentSettings, folder: DataFolder, identity: Identity) -> ManifestFolder:
    path = settings.static_pods or folder.manifests
    return ManifestFolder(path, folder.static_pods, identity.node, expected=settings.static_pods is not None)


def _build(settings: AgentSettings, folder: DataFolder, identity: Identity, store: MetaStore) -> Agent:
    rng: Random = SystemRandom()
    clock = TimeFloor(folder.clock)
    facts = gather(folder.root)
    names = settings.runtimes or identity.runtimes
    allotment = Allotment(
        max_pods=settings.max_pods,
        reserved_memory_bytes=settings.reserved_memory_mib << 20,
        runtimes=names,
        version=own_version(),
        container_pids=settings.container_pids,
        pod_pids=settings.pod_pids,
    )
    groups = open_groups(_group_settings(settings, folder, identity, facts))
    runtimes, usage = _runtimes(names, settings, folder, groups)
    keepers = [runtime for runtime in runtimes if isinstance(runtime, ImageKeeper)]
    machine = Machine(
        facts,
        allotment,
        HostSampler(folder.root),
        runtimes,
        DiskStorage(folder.volumes),
        usage,
        groups,
        eviction=_eviction(settings),
        signals=HostSignals(folder.root, lambda: next((each.image_folder for each in keepers), "")),
        reclaim=tuple(each.free_disk for each in keepers),
        addresses=addresses,
    )
    return Agent(
        store,
        Introduction(identity.node, identity.instance, own_version()),
        machine,
        dial=_dialer(settings, folder, identity, clock),
        rng=rng,
        options=Options(
            link=settings.link.settings(),
            account=_account(folder, settings.link.daily_bytes, clock.now),
            reporter=ReporterSettings(status_s=settings.status_s),
            wall_clock=clock.now,
            on_state=LinkRecord(folder.link, clock.now).note,
            tokens=folder.tokens,
            local_tokens=settings.metaserver,
            manifests=_manifests(settings, folder, identity),
            twins=folder.twins,
            standalone=not identity.server,
        ),
    )


@asynccontextmanager
async def _metaserver(
    settings: AgentSettings, folder: DataFolder, agent: Agent, store: MetaStore
) -> AsyncIterator[Callable[[], dict[str, Any]]]:
    """Serve the Kubernetes API for as long as the block runs; yields what tells how it does.

    Raises:
        UsageError: The port that was asked for cannot be had.
    """
    if not settings.metaserver or agent.tokens is None:
        yield dict
        return
    from edgecore.metaserver.access import Access  # noqa: PLC0415 - only where it is served
    from edgecore.metaserver.credentials import credentials  # noqa: PLC0415
    from edgecore.metaserver.metaserver import Metaserver, Setup, listening, listening_too  # noqa: PLC0415

    own = listening("127.0.0.1", settings.metaserver_port)
    port = own.getsockname()[1]
    gateway = bridge_address(settings.docker_network) if "docker" in agent.runtimes else ""
    bridge = listening_too(gateway, port) if gateway else None
    proof = await credentials(folder.metaserver, ["127.0.0.1", *([gateway] if bridge else [])])
    agent.serve(ApiAccess(port, proof.authority_pem, gateway=gateway if bridge else ""))
    setup = Setup(
        (own, *([bridge] if bridge else [])),
        tls=proof.context,
        folder=folder.writes,
        version=own_version(),
        rng=SystemRandom(),
    )
    rights = Access(agent.tokens.ledger, agent.wanted, lambda: proof.administrator)
    server = Metaserver(setup, agent.wanted, store, agent.requests, rights)
    async with server.running():
        proof.write_kubeconfig(server.address)
        log.info("metaserver", address=server.address, gateway=gateway if bridge else "")
        yield server.live


@asynccontextmanager
async def _bus(
    settings: AgentSettings, identity: Identity, agent: Agent, tasks: asyncio.TaskGroup
) -> AsyncIterator[Callable[[], dict[str, Any]]]:
    """Answer devices on MQTT for as long as the block runs, where a broker is named; yields what tells how it does.

    Raises:
        UsageError: The address is none, or the library is not installed.
    """
    if not settings.mqtt or agent.twins is None:
        yield dict
        return
    try:
        from edgecore.bus.desk import Desk  # noqa: PLC0415 - only where there are devices
        from edgecore.bus.flood import DeviceFlood  # noqa: PLC0415
        from edgecore.bus.mqtt import BrokerSettings, MqttBus, address_of  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(f"--mqtt needs pip install 'aiokubeedge[mqtt]' ({error})") from error
    host, port, tls = address_of(settings.mqtt)
    broker = BrokerSettings(
        host,
        port,
        tls=tls,
        authority=settings.mqtt_ca,
        certificate=settings.mqtt_certificate,
        username=settings.mqtt_user,
        password_file=settings.mqtt_password_file,
        version=settings.mqtt_version,
        client_id=f"aiokubeedge-{identity.node}-{identity.instance[:8]}",
    )
    flood = DeviceFlood(settings.device_rate, settings.device_rate * 2)
    bus = MqttBus(broker, Desk(identity.node, flood), agent.twins, rng=SystemRandom())
    task = tasks.create_task(bus.run(), name="mqtt-bus")
    try:
        yield bus.live
    finally:
        task.cancel()


def _eviction(settings: AgentSettings) -> EvictionSettings:
    return eviction_settings(
        settings.eviction_hard,
        settings.eviction_soft,
        settings.eviction_soft_grace_period,
        settings.eviction_minimum_reclaim,
        max_grace_s=float(settings.eviction_max_pod_grace_period),
        transition_s=float(parse_duration(settings.eviction_pressure_transition_period)),
    )


def _group_settings(settings: AgentSettings, folder: DataFolder, identity: Identity, facts: Facts) -> GroupSettings:
    allocatable = max(1 << 20, facts.memory_bytes - (settings.reserved_memory_mib << 20))
    return GroupSettings(
        # Agents of one machine may bear one node's name, in different clouds.
        name=f"{identity.node}-{identity.instance[:8]}",
        notes=folder.root / "cgroups",
        root=settings.cgroup_root,
        cpus=facts.cpus,
        memory_bytes=allocatable if settings.enforce_allocatable else None,
    )


def _runtimes(
    names: Sequence[str], settings: AgentSettings, folder: DataFolder, groups: PodGroups
) -> tuple[list[Runtime], tuple[UsageSource, ...]]:
    """Return the runtimes, and what measures their pods."""
    # Whichever is the default: what the process runtime left running is found again, and ended, all the same.
    runtimes: list[Runtime] = [ProcessRuntime(folder.pods, groups=groups)]
    usage: tuple[UsageSource, ...] = (ProcessUsage(folder.pods),)
    if "docker" not in names:
        return runtimes, usage
    runtime, measured = _docker(settings, folder, groups)
    return [*runtimes, runtime], (*usage, measured)


def _docker(settings: AgentSettings, folder: DataFolder, groups: PodGroups) -> tuple[Runtime, UsageSource]:
    """Return the Docker runtime, whose libraries no other device loads, and what measures its pods.

    Raises:
        UsageError: They are not installed.
    """
    try:
        from edgecore.pods.runtimes.docker.engine import Engine  # noqa: PLC0415
        from edgecore.pods.runtimes.docker.runtime import DockerRuntime  # noqa: PLC0415
        from edgecore.pods.runtimes.docker.settings import DockerSettings  # noqa: PLC0415
        from edgecore.pods.runtimes.docker.usage import DockerUsage  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(f"the docker runtime needs pip install 'aiokubeedge[docker]' ({error})") from error
    of_docker = DockerSettings(
        host=settings.docker_host,
        owner=str(folder.root),
        root=folder.docker,
        network=settings.docker_network,
        pause_image=settings.docker_pause_image,
    )
    engine = Engine(of_docker.host, of_docker.owner, of_docker.answer_timeout_s)
    return DockerRuntime(of_docker, engine=engine, groups=groups), DockerUsage(engine, of_docker.host)


def _exposition(folder: DataFolder, agent: Agent) -> Callable[[], str]:
    """Return what tells the device's Prometheus endpoint."""
    sensors, gpus = Sensors(), Gpus()
    return lambda: written([*machine_families(folder.root, sensors, gpus), *agent_families(), *agent.families()])


def own_version() -> str:
    """Return this project's version."""
    try:
        return version("aiokubeedge")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


def _lock(folder: DataFolder) -> FileLock:
    """Lock the data folder: one agent per folder.

    Raises:
        UsageError: Another agent holds it, or it cannot be used.
    """
    try:
        return FileLock(folder.lock)
    except LockHeld as held:
        raise UsageError(f"another agent (pid {held.pid or 'unknown'}) runs on {folder.root}") from held
    except OSError as error:
        raise UsageError(f"cannot use {folder.root} as data folder: {error.strerror or error}") from error


def _account(folder: DataFolder, daily_bytes: int, wall: Callable[[], float]) -> TrafficAccount:
    async def keep(day: int, used_bytes: int) -> None:
        try:
            await asyncio.to_thread(write_private, folder.traffic, json.dumps([day, used_bytes]).encode())
        except OSError as error:
            log.warning("bytes of the day not recorded", cause=str(error))

    return TrafficAccount(wall, keep=keep, kept=_kept_traffic(folder), daily_bytes=daily_bytes)


def _kept_traffic(folder: DataFolder) -> tuple[int, int]:
    """Return the day and its bytes as an earlier process left them; zeros where it left nothing that can be read."""
    try:
        day, used_bytes = json.loads(folder.traffic.read_bytes())
        return int(day), int(used_bytes)
    except (OSError, ValueError, TypeError):
        return 0, 0


def _answer_signals(agent: Agent, settings: AgentSettings, reloads: _Reloads) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: agent.stop(stop_pods=settings.stop_pods))
    loop.add_signal_handler(signal.SIGHUP, reloads.begin)


class _Reloads:
    """Reads the settings again at SIGHUP, in a process of its own: this one never loads what checks them."""

    def __init__(self, handover: Handover, tasks: asyncio.TaskGroup, agent: Agent) -> None:
        self._agent = agent
        self._handover = handover
        self._tasks = tasks

    def begin(self) -> None:
        self._tasks.create_task(self._reload(), name="reload")

    async def _reload(self) -> None:
        request = json.dumps({"flags": dict(self._handover.flags), "file": self._handover.file}).encode()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edgecore.config",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        answer, complaint = await process.communicate(request)
        if process.returncode != 0:
            log.error("settings not reloaded", cause=complaint.decode(errors="replace").strip().rpartition("\n")[2])
            return
        fresh = settings_from(json.loads(answer))
        configure_logs(level=fresh.log_level, form=fresh.log_format)
        self._agent.reload(fresh.link.settings(), fresh.link.daily_bytes)
        log.info("settings reloaded", taken=list(RELOADABLE))
