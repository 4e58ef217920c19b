"""The shell around the eviction core, in virtual time; and what reads the machine and holds pods."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgecore.cgroups.base import PodsRoom, PodUse
from edgecore.metrics.exposition import written
from edgecore.metrics.usage import ContainerUsage, Usage
from edgecore.pods.events import PodFailed, PodHeld
from edgecore.pods.gate import OpenGate, Refusal
from edgecore.pods.holds import Hold
from edgecore.scheduler.holder import THROTTLED_TO, GroupHolder
from edgecore.scheduler.pressure import PressureMonitor, Sources
from edgecore.scheduler.pressuregate import PressureGate
from edgecore.scheduler.shortage import Reading
from edgecore.scheduler.signals import HostSignals, within
from edgecore.thresholds import Signal, eviction_settings
from protocol.objects.keys import Body, Uid
from tests.support.podcontrols import MemoryControls
from tests.support.pods import a_pod

MIB = 1 << 20
HARD = eviction_settings("memory.available<100Mi,imagefs.available<15%", transition_s=60)


@dataclass
class FakePods:
    """Pods that do at once as is decided."""

    bodies: list[Body] = field(default_factory=list)
    phases: dict[str, Body] = field(default_factory=dict)
    held: dict[Uid, Hold] = field(default_factory=dict)
    decisions: list[tuple[float, PodFailed | PodHeld]] = field(default_factory=list)

    def statuses(self) -> list[tuple[Body, Body]]:
        running: Body = {"phase": "Running"}
        return [(pod, self.phases.get(pod["metadata"]["uid"], running)) for pod in self.bodies]

    def holds(self) -> dict[Uid, Hold]:
        return self.held

    def decided(self, *decisions: PodFailed | PodHeld) -> None:
        for each in decisions:
            self.decisions.append((asyncio.get_running_loop().time(), each))
            if isinstance(each, PodHeld):
                self.held[each.uid] = each.hold
            else:
                self.phases[each.uid] = {"phase": "Failed", "reason": each.reason}

    def evicted(self) -> list[str]:
        return [str(each.uid) for _, each in self.decisions if isinstance(each, PodFailed)]


@dataclass
class FakeMachine:
    """Signals and usage that a test sets; counts how often pods were measured."""

    available: int = 900
    images: int = 100
    used: dict[str, int] = field(default_factory=dict)
    reads: int = 0
    asked: int = 0
    freed: int = 0
    error: OSError | None = None

    def read(self) -> dict[Signal, Reading]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return {
            Signal.MEMORY: Reading(self.available * MIB, 1000 * MIB),
            Signal.IMAGEFS: Reading(self.images, 100),
        }

    async def usage(self) -> Usage:
        self.asked += 1
        return Usage([ContainerUsage(Uid(uid), "main", "0", 0.0, mib * MIB) for uid, mib in self.used.items()])

    async def free(self) -> None:
        self.freed += 1
        self.images = 50


@dataclass
class Scene:
    """A monitor over fakes."""

    pods: FakePods = field(default_factory=FakePods)
    machine: FakeMachine = field(default_factory=FakeMachine)
    changes: list[frozenset[str]] = field(default_factory=list)
    controls: MemoryControls | None = None

    def monitor(self, **more: Any) -> PressureMonitor:
        machine = self.machine
        sources = Sources(machine, usage=[machine], controls=self.controls, reclaim=[machine.free])
        self.watch = PressureMonitor(HARD, self.pods, sources, changed=self._changed, **more)
        return self.watch

    async def _changed(self) -> None:
        self.changes.append(self.watch.conditions)

    async def runs(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.monitor().run())
            await asyncio.sleep(seconds)
            task.cancel()


def pods(*uids: str, sla: str = "") -> list[Body]:
    bodies = [a_pod(uid, uid) for uid in uids]
    for body in bodies:
        body["metadata"]["labels"] = {"edge.aiokubeedge.io/sla": sla} if sla else {}
    return bodies


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.looptime
class TestMonitor:
    async def test_a_calm_node_is_looked_at_every_ten_seconds_and_its_pods_are_not_measured(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a")
        await scene.runs(95)
        assert (scene.machine.reads, scene.machine.asked) == (10, 0)

    async def test_near_a_threshold_it_is_every_second(self, scene: Scene) -> None:
        scene.machine.available = 250
        await scene.runs(9.5)
        assert (scene.machine.reads, scene.machine.asked) == (10, 10)

    async def test_pods_end_one_by_one_until_there_is_enough(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a", "b", "c")
        scene.machine.available, scene.machine.used = 90, {"a": 10, "b": 30, "c": 20}
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(scene.monitor().run())
            await asyncio.sleep(1.5)
            scene.machine.available = 400
            await asyncio.sleep(60)
            task.cancel()
        assert scene.pods.evicted() == ["b", "c"]
        assert [at for at, _ in scene.pods.decisions] == [0.0, 1.0]

    async def test_conditions_are_told_when_they_change_and_pods_are_refused_meanwhile(self, scene: Scene) -> None:
        scene.machine.available = 90
        monitor = scene.monitor()
        gate = PressureGate(OpenGate(), lambda: monitor.conditions)
        await monitor.look(0.0)
        assert scene.changes == [frozenset({"MemoryPressure"})]
        refused = gate.ask(a_pod())
        assert refused == Refusal("Evicted", "The node had condition: [MemoryPressure]. ")
        assert gate.adopt(a_pod(), running=True) is None
        scene.machine.available = 900
        await monitor.look(59.0)
        await monitor.look(60.0)
        assert scene.changes[-1] == frozenset()
        assert gate.ask(a_pod()) is None

    async def test_what_an_earlier_agent_reported_stands_for_the_transition_period(self, scene: Scene) -> None:
        monitor = scene.monitor(conditions=["DiskPressure"])
        await monitor.look(0.0)
        assert monitor.conditions == {"DiskPressure"}
        await monitor.look(60.0)
        assert monitor.conditions == frozenset()

    async def test_images_are_removed_before_a_pod_is_ended(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a")
        scene.machine.images = 10
        await scene.runs(30)
        assert (scene.machine.freed, scene.pods.evicted()) == (1, [])

    async def test_the_low_tier_is_held_and_let_go(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a", sla="low") + pods("b", sla="high")
        scene.machine.available = 120
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(scene.monitor().run())
            await asyncio.sleep(5)
            assert scene.pods.held == {"a": Hold.PAUSED}
            scene.machine.available = 900
            await asyncio.sleep(120)
            task.cancel()
        assert [each.hold for _, each in scene.pods.decisions if isinstance(each, PodHeld)] == [
            Hold.THROTTLED,
            Hold.PAUSED,
            Hold.THROTTLED,
            Hold.NONE,
        ]
        exposed = written(scene.watch.families())
        assert 'aiokubeedge_edge_sla_acts_total{hold="paused"} 1.0' in exposed
        assert 'aiokubeedge_edge_held_pods{hold="paused"} 0.0' in exposed

    async def test_evictions_and_pressure_are_exported(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a")
        scene.machine.available, scene.machine.used = 90, {"a": 10}
        await scene.monitor().look(0.0)
        exposed = written(scene.watch.families())
        assert 'aiokubeedge_edge_evictions_total{resource="memory"} 1.0' in exposed
        assert 'aiokubeedge_edge_node_pressure{condition="MemoryPressure"} 1.0' in exposed

    async def test_a_look_that_fails_is_not_the_last(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a")
        scene.machine.available, scene.machine.used = 90, {"a": 10}
        scene.machine.error = OSError("no")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(scene.monitor().run())
            await asyncio.sleep(5)
            scene.machine.error = None
            await asyncio.sleep(10)
            task.cancel()
        assert scene.pods.evicted() == ["a"]

    async def test_the_pods_own_bound_counts_where_it_is_tighter(self, scene: Scene) -> None:
        scene.pods.bodies = pods("a")
        scene.machine.used = {"a": 10}
        scene.controls = MemoryControls(uses={Uid("a"): PodUse(10 * MIB, 0, 3)})
        scene.controls.above = PodsRoom(250 * MIB, 300 * MIB, 3, 1000)
        await scene.monitor().look(0.0)
        assert scene.pods.evicted() == ["a"]


class TestSignals:
    def test_this_machine_can_be_read(self, tmp_path: Path) -> None:
        readings = HostSignals(tmp_path, lambda: str(tmp_path)).read()
        assert {Signal.MEMORY, Signal.NODEFS, Signal.IMAGEFS, Signal.PIDS} <= set(readings)
        assert all(0 <= each.available <= each.capacity for each in readings.values())

    def test_what_cannot_be_read_is_left_out(self, tmp_path: Path) -> None:
        assert HostSignals(tmp_path / "none", lambda: "/none", proc=tmp_path).read() == {}

    def test_process_ids_are_what_the_kernel_counts(self, tmp_path: Path) -> None:
        (tmp_path / "sys" / "kernel").mkdir(parents=True)
        (tmp_path / "sys" / "kernel" / "pid_max").write_text("1000\n")
        (tmp_path / "sys" / "kernel" / "threads-max").write_text("900\n")
        (tmp_path / "loadavg").write_text("0.1 0.1 0.1 1/300 4321\n")
        (tmp_path / "meminfo").write_text("MemTotal: 2048 kB\nMemAvailable:    1024 kB\nHugePages_Total:       0\n")
        readings = HostSignals(tmp_path, proc=tmp_path).read()
        assert readings[Signal.PIDS] == Reading(600, 900)
        assert readings[Signal.MEMORY] == Reading(1 << 20, 2 << 20)

    @pytest.mark.parametrize(
        ("room", "available"),
        [
            (None, 900),
            (PodsRoom(10, None, 0, None), 900),
            (PodsRoom(400, 500, 0, None), 100),
            (PodsRoom(600, 500, 0, None), 0),
            (PodsRoom(0, 5000, 0, None), 900),
        ],
    )
    def test_the_tighter_of_machine_and_group_counts(self, room: PodsRoom | None, available: int) -> None:
        assert within(room, {Signal.MEMORY: Reading(900, 1000)})[Signal.MEMORY].available == available


class TestHolder:
    POD = a_pod()
    UID = Uid("u1")

    @pytest.fixture
    def controls(self) -> MemoryControls:
        return MemoryControls(uses={self.UID: PodUse(1, 1, 1)})

    async def test_up_and_down(self, controls: MemoryControls) -> None:
        holder = GroupHolder(controls)
        await holder.hold(self.POD, Hold.THROTTLED)
        assert (controls.fractions, controls.halted) == ({self.UID: THROTTLED_TO}, set())
        await holder.hold(self.POD, Hold.PAUSED)
        assert controls.halted == {self.UID}
        await holder.hold(self.POD, Hold.THROTTLED)
        assert (controls.fractions, controls.halted) == ({self.UID: THROTTLED_TO}, set())
        await holder.hold(self.POD, Hold.NONE)
        assert (controls.fractions, controls.halted) == ({}, set())

    @pytest.mark.parametrize("hold", [Hold.THROTTLED, Hold.PAUSED])
    async def test_a_pod_without_a_group_cannot_be_held(self, hold: Hold) -> None:
        with pytest.raises(OSError, match="no control group"):
            await GroupHolder(MemoryControls()).hold(self.POD, hold)

    async def test_to_let_it_go_there_need_not_be_one(self) -> None:
        await GroupHolder(MemoryControls()).hold(self.POD, Hold.NONE)
