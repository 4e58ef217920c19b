"""The scheduling core: placements a second and how long each takes, by fleet size and by variety of pods."""

from __future__ import annotations

import argparse
import time
from random import Random

import numpy as np

from benchmarks.harness import Row, report
from cloudcore.scheduler.cycle import Cycle, Placement
from cloudcore.scheduler.plugins import default_profile
from protocol.objects.keys import Body


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=20_000)
    options = parser.parse_args()
    rows = [measure(nodes, shapes, options.pods) for nodes in (1_000, 5_000) for shapes in (1, 10, 100, 1_000)]
    report("scheduler", "Scheduling core, all default filters and scores", rows)


if __name__ == "__main__":
    main()
