"""The scheduler: its core alone by fleet size and variety of pods, and from store to store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import structlog
import uvloop

from benchmarks.harness import Row, report
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.clock import SystemClock
from cloudcore.informers import Informers
from cloudcore.scheduler import Scheduler
from cloudcore.scheduler.cycle import Cycle, Placement
from cloudcore.scheduler.plugins import default_profile
from cloudcore.store.base import Store, encode
from cloudcore.store.sqlite import SqliteStore
from protocol.objects.keys import Body, ObjectKey, Uid


def node(number: int) -> Body:
    name = f"edge-{number:05d}"
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "zone": f"z{number % 20}", "tier": str(number % 3)},
            "annotations": {"edge.aiokubeedge.io/runtimes": "process"},
        },
        "spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}] if number % 10 == 0 else []},
        "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "110"}},
    }


def pod(number: int, shapes: int) -> Body:
    kind = number % shapes
    return {
        "metadata": {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number}"},
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": {"cpu": f"{100 + kind}m", "memory": "64Mi"}}}],
            "runtimeClassName": "process",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["0", "1"]}]}
                        ]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 10,
                            "preference": {
                                "matchExpressions": [{"key": "zone", "operator": "In", "values": [f"z{kind % 20}"]}]
                            },
                        }
                    ],
                }
            },
        },
    }


def measure(nodes: int, shapes: int, pods: int) -> Row:
    cycle = Cycle(default_profile(), Random(1))
    for number in range(nodes):
        cycle.table.put(node(number))
    waiting = [pod(number, shapes) for number in range(pods)]
    times_s = np.empty(pods)
    for number, body in enumerate(waiting):
        started = time.perf_counter()
        outcome = cycle.place(body)
        times_s[number] = time.perf_counter() - started
        assert isinstance(outcome, Placement), outcome
    return {
        "nodes": nodes,
        "pod shapes": shapes,
        "pods/s": int(pods / times_s.sum()),
        "p50 ms": float(np.percentile(times_s, 50) * 1e3),
        "p99 ms": float(np.percentile(times_s, 99) * 1e3),
        "max ms": float(times_s.max() * 1e3),
    }


class Silence:
    """A recorder of nothing: the benchmark counts bindings, not events."""

    def event(self, regarding: Body, type: str, reason: str, message: str) -> None:
        """Drop it."""


async def store_to_store(folder: Path, nodes: int, pods: int) -> Row:
    """Pods written straight into the store until all of them are bound in the store."""
    store = await SqliteStore.open(folder / f"{nodes}.db")
    for number in range(nodes):
        body = node(number)
        await store.create(ObjectKey("nodes", "", body["metadata"]["name"]), encode(body), uid=Uid(f"node-{number}"))
    informers = Informers(store)
    scheduler = Scheduler(LocalClient(Registry(store)), informers, Silence(), SystemClock(), rng=Random(1))
    waiting = [pod(number, 10) for number in range(pods)]
    for body in waiting:
        body["spec"]["schedulerName"] = "default-scheduler"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in (informers, scheduler)]
        await informers.wait_synced()
        watch = store.watch(["pods"], since=store.revision)
        started = time.perf_counter()
        creating = [group.create_task(write(store, waiting[worker::64])) for worker in range(64)]
        changes = 0
        async for progress in watch:
            changes += len(progress.changes)
            if changes == 2 * pods:
                break
        elapsed = time.perf_counter() - started
        watch.close()
        for task in (*tasks, *creating):
            task.cancel()
    await store.close()
    return {"nodes": nodes, "pods": pods, "created and bound/s": int(pods / elapsed), "seconds": elapsed}


async def write(store: Store, bodies: list[Body]) -> None:
    for body in bodies:
        metadata = body["metadata"]
        key = ObjectKey("pods", metadata["namespace"], metadata["name"])
        await store.create(key, encode(body), uid=Uid(metadata["uid"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=20_000)
    options = parser.parse_args()
    rows = [measure(nodes, shapes, options.pods) for nodes in (1_000, 5_000) for shapes in (1, 10, 100, 1_000)]
    report("scheduler", "Scheduling core, all default filters and scores", rows)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        rows = [uvloop.run(store_to_store(Path(folder), nodes, options.pods // 2)) for nodes in (1_000, 5_000)]
    report("scheduler-store", "Store to store: pods created on disk until bound on disk (SQLite)", rows)


if __name__ == "__main__":
    main()
