"""The cloud daemon as a child process that also answers questions: ``run_daemon`` itself, and a few commands beside it.

The commands are what no client of the daemon could do or see: write straight into its store, wait until every
session's outbox is empty, follow readiness without asking the API, switch a profiler on.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.children import answer, raise_file_limit
from benchmarks.world import config_map
from cloudcore.app import CloudCore, run_daemon
from cloudcore.config import Settings
from cloudcore.daemon import tune_interpreter
from cloudcore.store.base import ChangeType, encode
from protocol.logs import configure_logs
from protocol.objects.conditions import find_condition
from protocol.objects.keys import ObjectKey, Uid
from protocol.objects.resources import NODES

POLL_S = 0.002


class Readiness:
    """Follows which nodes are Ready."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.lost = 0
        self.changed = asyncio.Event()

    async def follow(self, cloud: CloudCore) -> None:
        """Watch nodes until cancelled."""
        store = cloud.store
        async for progress in store.watch([NODES], since=store.revision):
            for change in progress.changes:
                self._note(change.record.key.name, change.record.decode(), change.type)
            self.changed.set()

    def _note(self, name: str, body: dict[str, Any], kind: ChangeType) -> None:
        condition = find_condition((body.get("status") or {}).get("conditions"), "Ready")
        if condition is not None and condition["status"] == "True" and kind is not ChangeType.DELETED:
            self.ready.add(name)
        elif name in self.ready:
            self.ready.discard(name)
            self.lost += 1

    async def wait(self, count: int) -> float:
        """Return when ``count`` nodes are Ready."""
        while len(self.ready) < count:
            self.changed.clear()
            await self.changed.wait()
        return time.monotonic()


class Host:
    """The commands."""

    def __init__(self, cloud: CloudCore) -> None:
        self._cloud = cloud
        self._profile: cProfile.Profile | None = None
        self._readiness = Readiness()
        self._following = asyncio.create_task(self._readiness.follow(cloud), name="readiness")

    async def usage(self) -> dict[str, float]:
        """Return the processor time used so far, seconds."""
        return {"cpu_s": time.process_time()}

    async def await_ready(self, count: int) -> float:
        """Return the monotonic time at which ``count`` nodes are Ready."""
        return await self._readiness.wait(count)

    async def lost(self) -> int:
        """Return how often a node has ceased to be Ready."""
        return self._readiness.lost

    async def drained(self) -> float:
        """Return the monotonic time at which nothing is owed to any node any more."""
        hub = self._cloud.hub
        while any(len(session.link.outbox) for session in hub.sessions.values()):  # noqa: ASYNC110 - only looked at
            await asyncio.sleep(POLL_S)
        return time.monotonic()

    async def emptied(self) -> None:
        """Wait until no session is left."""
        while self._cloud.hub.sessions:  # noqa: ASYNC110 - only looked at
            await asyncio.sleep(POLL_S)

    async def write(self, names: list[str], namespace: str = "default", writers: int = 256) -> dict[str, float]:
        """Write a ConfigMap under each name straight into the store: created or, where it is there, replaced."""
        store = self._cloud.store
        rest = iter(names)

        async def lane() -> None:
            for name in rest:
                key = ObjectKey("configmaps", namespace, name)
                body = config_map(name, time.monotonic_ns(), namespace=namespace)
                record = self._cloud.hub.router.record(key)
                uid = Uid(f"6f1b5f0e-8d3c-4a52-9e57-{hash(name) & 0xFFFFFFFFFFFF:012x}") if not record else record.uid
                body["metadata"]["uid"] = uid
                if record is None:
                    await store.create(key, encode(body), uid=uid)
                else:
                    await store.update(key, encode(body))

        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(lane(), name=f"writer-{number}")
        return {"started": started, "ended": time.monotonic()}

    async def profile(self, path: str = "") -> None:
        """Switch the profiler on, or, with a ``path``, off and write what it saw there."""
        if not path:
            self._profile = cProfile.Profile(time.thread_time)
            self._profile.enable()
        elif self._profile is not None:
            self._profile.disable()
            await asyncio.to_thread(_print_profile, self._profile, Path(path))


def _print_profile(profile: cProfile.Profile, path: Path) -> None:
    with path.open("w") as file:
        pstats.Stats(profile, stream=file).sort_stats("tottime").print_stats(60)


async def main(folder: Path) -> None:
    """Run the daemon and answer until the standard input ends."""
    ports: dict[str, Any] = dict.fromkeys(("api_port", "ws_port", "enrol_port", "metrics_port"), 0)
    settings = Settings(
        data_dir=folder, listen="127.0.0.1", advertise=["127.0.0.1", "localhost"], log_level="warning", **ports
    )
    configure_logs(level=settings.log_level, form="json")
    stop = asyncio.Event()
    started: asyncio.Future[CloudCore] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_daemon(settings, stop, started), name="cloudcore")
        host = Host(await started)
        commands = (host.usage, host.await_ready, host.lost, host.drained, host.emptied, host.write, host.profile)
        await answer({command.__name__: command for command in commands})
        host._following.cancel()  # noqa: SLF001
        stop.set()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    raise_file_limit()
    tune_interpreter()
    uvloop.run(main(parser.parse_args().folder))
