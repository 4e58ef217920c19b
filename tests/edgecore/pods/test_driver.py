from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from edgecore.pods.driver import PodsDriver
from edgecore.pods.events import Remembered
from edgecore.pods.runtimes.base import (
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExitListener,
    RuntimeUnavailable,
    Teller,
    silent,
)
from edgecore.pods.runtimes.memory import MemoryHost, MemoryRuntime
from edgecore.pods.runtimes.specs import SandboxSpec
from edgecore.pods.settings import PodsSettings
from edgecore.pods.sources import Sources
from edgecore.pods.storage import MemoryStorage, VolumeUnavailable
from protocol.objects.keys import Body, Uid
from tests.support.pods import FakeDesired, FakeReports, a_pod, deleted

pytestmark = pytest.mark.looptime

WALL = 1_800_000_000.0


def wall() -> float:
    return WALL + asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everything that can go on now go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    woken = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, woken.set)
    await woken.wait()
    await settle()


@dataclass
class Device:
    desired: FakeDesired = field(default_factory=FakeDesired)
    reports: FakeReports = field(default_factory=FakeReports)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    host: MemoryHost = field(default_factory=lambda: MemoryHost(wall))

    def driver(self, runtime: MemoryRuntime | None = None) -> PodsDriver:
        driver = PodsDriver(
            PodsSettings("edge-1", "10.0.0.7"),
            desired=self.desired,
            reports=self.reports,
            runtimes=[runtime or MemoryRuntime(self.host)],
            storage=self.storage,
            wall=wall,
        )
        self.desired.subscriber = driver
        return driver

    @asynccontextmanager
    async def agent(self, runtime: MemoryRuntime | None = None) -> AsyncIterator[PodsDriver]:
        driver = self.driver(runtime)
        task = asyncio.create_task(driver.run(), name="driver")
        await settle()
        yield driver
        await driver.close()
        await task
        self.desired.subscriber = None

    def phase(self, uid: str = "u1") -> str:
        return str(self.reports.statuses[uid]["phase"])

    def state(self, uid: str = "u1") -> Body:
        state: Body = self.reports.statuses[uid]["containerStatuses"][0]["state"]
        return state


@pytest.fixture
def device() -> Device:
    return Device()


def main(uid: str = "u1", attempt: int = 0) -> ContainerId:
    return ContainerId(Uid(uid), "main", attempt)


async def test_what_the_store_holds_is_started_and_reported(device: Device) -> None:
    device.desired.put("pods", a_pod())
    async with device.agent():
        assert device.host.running() == [main()]
        assert device.phase() == "Running"
        assert device.reports.reasons() == ["Started"]
        event = device.reports.events[0]
        assert event["source"] == {"component": "edgecore", "host": "edge-1"}
        assert event["involvedObject"]["fieldPath"] == "spec.containers{main}"


async def test_a_pod_that_comes_later_is_started(device: Device) -> None:
    async with device.agent():
        device.desired.put("pods", a_pod())
        await settle()
        assert device.phase() == "Running"


async def test_a_pod_waits_for_its_config_map(device: Device) -> None:
    reference = {"configMapKeyRef": {"name": "cm", "key": "k"}}
    container = {"name": "main", "image": "i", "command": ["x"], "env": [{"name": "K", "valueFrom": reference}]}
    device.desired.put("pods", a_pod(containers=[container]))
    async with device.agent():
        assert device.state()["waiting"] == {
            "reason": "CreateContainerConfigError",
            "message": 'configmap "cm" not found',
        }
        device.desired.put("configmaps", {"metadata": {"namespace": "default", "name": "cm"}, "data": {"k": "v"}})
        await settle()
        assert device.phase() == "Running"
        assert ("K", "v") in device.host.specs[main()].environment


async def test_a_volume_waits_for_its_secret(device: Device) -> None:
    volumes = [{"name": "v", "secret": {"secretName": "s"}}]
    device.desired.put("pods", a_pod(volumes=volumes))
    async with device.agent():
        assert device.phase() == "Pending"
        assert "FailedMount" in device.reports.reasons()
        device.desired.put("secrets", {"metadata": {"namespace": "default", "name": "s"}, "data": {}})
        await settle()
        assert device.phase() == "Running"


async def test_an_unknown_runtime_class_is_said_clearly(device: Device) -> None:
    device.desired.put("pods", a_pod(runtimeClassName="gvisor"))
    async with device.agent():
        waiting = device.state()["waiting"]
        assert waiting["reason"] == "CreateContainerConfigError"
        assert "gvisor" in waiting["message"]
        assert "this agent has: process" in waiting["message"]
        runtime_class = {"metadata": {"name": "gvisor", "uid": "rc"}, "handler": "process"}
        device.desired.put("runtimeclasses.node.k8s.io", runtime_class)
        await settle()
        assert device.phase() == "Running"


async def test_a_deleted_pod_is_stopped_reported_and_forgotten(device: Device) -> None:
    device.host.ignores_sigterm.add("main")
    async with device.agent():
        device.desired.put("pods", a_pod())
        await settle()
        device.desired.put("pods", deleted(a_pod(), grace_s=5))
        await pass_time(4)
        assert device.reports.finished == []
        await pass_time(2)
        assert device.reports.finished == ["u1"]
        assert device.phase() == "Failed"
        device.desired.remove("pods", "web")
        await settle()
        assert device.host.states == {}
        assert await device.storage.load() == {}


async def test_a_crash_loop_backs_off(device: Device) -> None:
    async with device.agent():
        device.desired.put("pods", a_pod())
        await settle()
        for attempt in range(2):
            device.host.end(main(attempt=attempt), 1)
            await settle()
        assert device.state()["waiting"]["reason"] == "CrashLoopBackOff"
        await pass_time(11)
        assert device.host.running() == [main(attempt=2)]


async def test_a_replaced_pod_goes_before_its_successor_comes(device: Device) -> None:
    device.host.ignores_sigterm.add("main")
    async with device.agent():
        device.desired.put("pods", a_pod(terminationGracePeriodSeconds=3))
        await settle()
        device.desired.put("pods", a_pod(uid="u2"))
        await settle()
        assert device.host.running() == [main("u1")]
        await pass_time(4)
        assert device.host.running() == [main("u2")]


async def test_the_next_agent_adopts(device: Device) -> None:
    device.desired.put("pods", a_pod())
    async with device.agent():
        before = device.reports.statuses["u1"]
    await pass_time(100)
    async with device.agent():
        assert device.host.starts == [main()]
        assert device.reports.statuses["u1"] == before
        device.host.end(main(), 0)
        await settle()
        assert device.host.starts == [main(), main(attempt=1)]


async def test_a_reboot_starts_everything_anew(device: Device) -> None:
    device.desired.put("pods", a_pod())
    async with device.agent():
        pass
    device.host.reboot()
    async with device.agent():
        assert device.host.running() == [main(attempt=1)]
        assert device.reports.statuses["u1"]["containerStatuses"][0]["restartCount"] == 1


async def test_an_orphan_is_stopped_only_once_the_slice_is_known(device: Device) -> None:
    device.desired.put("pods", a_pod())
    async with device.agent():
        pass
    device.desired.remove("pods", "web")
    device.desired.complete = False
    async with device.agent() as driver:
        assert device.host.running() == [main()]
        driver.completed()
        await settle()
        assert device.host.states == {}


async def test_stop_pods_ends_them_and_waits(device: Device) -> None:
    device.host.ignores_sigterm.add("main")
    device.desired.put("pods", a_pod(terminationGracePeriodSeconds=7))
    driver = device.driver()
    task = asyncio.create_task(driver.run(), name="driver")
    await settle()
    began = asyncio.get_running_loop().time()
    await driver.close(stop_pods=True)
    assert asyncio.get_running_loop().time() - began == pytest.approx(7, abs=0.1)
    await task
    assert device.host.running() == []


async def test_a_driver_that_is_closed_before_it_runs_ends_at_once(device: Device) -> None:
    device.desired.put("pods", a_pod())
    driver = device.driver()
    await driver.close()
    began = asyncio.get_running_loop().time()
    await driver.run()
    assert asyncio.get_running_loop().time() == began
    async with device.agent():
        assert device.host.starts == [main()], "pods go on where the agent was stopped at once"


async def test_statuses_that_wait_are_overtaken_by_newer_ones(device: Device) -> None:
    device.reports.gate.clear()
    async with device.agent():
        device.desired.put("pods", a_pod())
        await settle()
        for attempt in range(2):
            device.host.end(main(attempt=attempt), 1) if main(attempt=attempt) in device.host.states else None
            await settle()
        device.reports.gate.set()
        await settle()
        assert len(device.reports.history) <= 3
        assert device.host.running() == [main(attempt=1)]


async def test_what_the_agent_does_not_act_on_is_said_once(device: Device) -> None:
    container = {"name": "main", "image": "i", "command": ["x"], "tty": True}
    device.desired.put("pods", a_pod(containers=[container]))
    async with device.agent():
        pass
    async with device.agent():
        assert device.reports.reasons().count("Unsupported") == 1
        message = next(event["message"] for event in device.reports.events if event["reason"] == "Unsupported")
        assert "containers[main].tty" in message
        assert device.phase() == "Running"


class Faulty(MemoryRuntime):
    """Fails or hangs for one pod."""

    def __init__(self, host: MemoryHost, victim: str, fault: Callable[[], Awaitable[None]]) -> None:
        super().__init__(host)
        self._victim = victim
        self._fault = fault

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        if spec.id.pod == self._victim:
            await self._fault()
        return await super().start(spec, tell)


async def hang() -> None:
    await asyncio.Event().wait()


async def full() -> None:
    raise OSError(28, "No space left on device")


async def bug() -> None:
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("fault", [hang, full, bug])
async def test_a_pod_in_trouble_holds_up_no_other(device: Device, fault: Callable[[], Awaitable[None]]) -> None:
    device.desired.put("pods", a_pod())
    device.desired.put("pods", a_pod("other", "u2"))
    async with device.agent(Faulty(device.host, "u1", fault)):
        assert device.phase("u2") == "Running"
        assert device.host.running() == [main("u2")]


async def test_a_full_disk_is_retried_with_its_reason_in_view(device: Device) -> None:
    device.desired.put("pods", a_pod())
    runtime = Faulty(device.host, "u1", full)
    async with device.agent(runtime):
        assert device.state()["waiting"] == {"reason": "RunContainerError", "message": "No space left on device"}
        runtime._victim = ""
        await pass_time(11)
        assert device.phase() == "Running"


class Networked(MemoryRuntime):
    """Gives each pod an address, and counts how often it is asked for one before a start."""

    asked = 0

    @property
    def own_networks(self) -> bool:
        return True

    async def prepare(self, sandbox: SandboxSpec) -> str:
        self.asked += 1
        return "172.17.0.9"


@pytest.mark.parametrize(
    ("field", "on_host", "asked", "value"),
    [
        ("status.podIP", False, 1, "172.17.0.9"),
        ("status.podIP", True, 0, "10.0.0.7"),
        ("metadata.name", False, 0, "web"),
    ],
)
async def test_only_a_start_that_names_the_address_waits_for_it(
    device: Device, field: str, on_host: bool, asked: int, value: str
) -> None:
    pod = a_pod()
    pod["spec"]["hostNetwork"] = on_host
    pod["spec"]["containers"][0]["env"] = [{"name": "IT", "valueFrom": {"fieldRef": {"fieldPath": field}}}]
    device.desired.put("pods", pod)
    runtime = Networked(device.host)
    async with device.agent(runtime):
        assert device.phase() == "Running"
        assert runtime.asked == asked
        assert ("IT", value) in device.host.specs[main()].environment


class NoRoom(MemoryStorage):
    async def remember(self, uid: Uid, note: Remembered) -> None:
        raise OSError(28, "No space left on device")

    async def prepare(self, pod: Body, sources: Sources) -> None:
        return None


async def test_a_status_is_reported_even_when_it_cannot_be_written_down(device: Device) -> None:
    device.storage = NoRoom()
    device.desired.put("pods", a_pod())
    async with device.agent():
        assert device.phase() == "Running"


async def test_changes_before_the_driver_runs_are_read_from_the_store(device: Device) -> None:
    driver = device.driver()
    device.desired.put("pods", a_pod())
    driver.completed()
    assert device.host.starts == []
    task = asyncio.create_task(driver.run(), name="driver")
    await settle()
    assert device.host.starts == [main()]
    await driver.close()
    await task


async def test_an_idle_agent_has_no_timer_and_no_task(device: Device) -> None:
    device.desired.put("pods", a_pod())
    async with device.agent() as driver:
        assert driver._timer is None
        assert len(driver._lanes) == 0


class Absent(MemoryRuntime):
    """Does not answer until it is there."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host, name="docker")
        self.there = False

    async def open(self, listener: ExitListener) -> Sequence[ContainerState]:
        if not self.there:
            raise RuntimeUnavailable("nobody answers")
        return await super().open(listener)

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        if not self.there:
            raise RuntimeUnavailable("nobody answers")
        return await super().start(spec, tell)


@asynccontextmanager
async def agent_of(device: Device, absent: Absent) -> AsyncIterator[PodsDriver]:
    driver = PodsDriver(
        PodsSettings("edge-1", "10.0.0.7"),
        desired=device.desired,
        reports=device.reports,
        runtimes=[MemoryRuntime(device.host), absent],
        storage=device.storage,
        wall=wall,
    )
    device.desired.subscriber = driver
    task = asyncio.create_task(driver.run(), name="driver")
    await settle()
    yield driver
    await driver.close()
    await task


async def test_a_runtime_that_does_not_answer_holds_up_no_other_and_is_waited_for(device: Device) -> None:
    absent = Absent(MemoryHost(wall))
    device.desired.put("pods", a_pod())
    device.desired.put("pods", a_pod("boxed", "u2", runtimeClassName="docker"))
    async with agent_of(device, absent):
        assert (device.phase("u1"), device.phase("u2")) == ("Running", "Pending")
        assert device.state("u2")["waiting"]["reason"] == "RuntimeUnavailable"
        await pass_time(300)
        absent.there = True
        await pass_time(61)
        assert device.phase("u2") == "Running"
        assert len(absent._host.starts) == 1


async def test_pods_start_soon_after_a_runtime_is_back_however_long_it_was_away(device: Device) -> None:
    absent = Absent(MemoryHost(wall))
    absent.there = True
    async with agent_of(device, absent):
        absent.there = False
        device.desired.put("pods", a_pod("boxed", "u2", runtimeClassName="docker"))
        await pass_time(3600)
        assert device.state("u2")["waiting"] == {"reason": "RuntimeUnavailable", "message": "nobody answers"}
        assert [event["reason"] for event in device.reports.events].count("Failed") < 10
        absent.there = True
        await pass_time(20)
        assert device.phase("u2") == "Running"


async def test_what_ran_in_a_runtime_that_answers_late_is_taken_over(device: Device) -> None:
    absent = Absent(MemoryHost(wall))
    absent.there = True
    device.desired.put("pods", a_pod("boxed", "u2", runtimeClassName="docker"))
    device.desired.put("pods", a_pod("gone", "u3", runtimeClassName="docker"))
    async with agent_of(device, absent):
        absent._host.end(main("u2"), 1)
        await settle()
    absent.there = False
    device.desired.subscriber = None
    device.desired.remove("pods", "gone")
    async with agent_of(device, absent):
        assert device.phase("u2") == "Pending"
        absent.there = True
        await pass_time(61)
        assert device.reports.statuses["u2"]["containerStatuses"][0]["restartCount"] == 1
        assert absent._host.running() == [main("u2", 1)], "the pod that is gone was ended, the other left as it is"
        assert len(absent._host.starts) == 3


def probed(**fields: object) -> Body:
    """Return a pod with an exec probe of each kind of field given."""
    main_spec = {"name": "main", "image": "i", "command": ["x"], **fields}
    return a_pod(containers=[main_spec])


CHECK: Body = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 1}


async def test_probes_are_carried_out_and_their_results_reported(device: Device) -> None:
    device.host.answers["check",] = ExecResult(1, b"not yet")
    device.desired.put("pods", probed(readinessProbe=CHECK))
    async with device.agent():
        await pass_time(1)
        assert device.reports.statuses["u1"]["containerStatuses"][0]["ready"] is False
        assert "Readiness probe failed: not yet" in [event["message"] for event in device.reports.events]
        device.host.answers["check",] = ExecResult(0)
        await pass_time(1)
        assert device.reports.statuses["u1"]["containerStatuses"][0]["ready"] is True


async def test_a_probe_that_hangs_holds_up_nothing_of_its_own_pod(device: Device) -> None:
    device.host.answers["check",] = None
    slow = {**CHECK, "timeoutSeconds": 1000}
    device.desired.put("pods", probed(livenessProbe=slow))
    async with device.agent():
        await pass_time(5)
        device.host.end(main(), 1)
        await settle()
        assert device.host.running() == [main(attempt=1)]
        device.desired.put("pods", deleted(probed(livenessProbe=slow)))
        await settle()
        assert device.reports.finished == ["u1"]


async def test_the_agent_ends_with_a_probe_and_a_hook_under_way(device: Device) -> None:
    device.host.answers["check",] = None
    hooked = {"lifecycle": {"postStart": {"exec": {"command": ["check"]}}}}
    device.desired.put("pods", probed(livenessProbe={**CHECK, "timeoutSeconds": 1000}))
    device.desired.put("pods", {**probed(**hooked), "metadata": a_pod("other", "u2")["metadata"]})
    async with device.agent():
        await pass_time(2)
        assert len(device.host.execs) == 2
    assert len(device.host.running()) == 2


async def test_stopping_all_pods_runs_their_pre_stop_hooks(device: Device) -> None:
    device.desired.put("pods", probed(lifecycle={"preStop": {"exec": {"command": ["say", "goodbye"]}}}))
    driver = device.driver()
    task = asyncio.create_task(driver.run(), name="driver")
    await settle()
    await driver.close(stop_pods=True)
    await task
    assert device.host.execs == [(main(), ("say", "goodbye"))]
    assert device.host.running() == []


class CountingStorage(MemoryStorage):
    """Counts how often volumes are prepared, and keeps what they were made of last."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[Mapping[str, bytes] | None] = []
        self.labels: list[str] = []

    async def prepare(self, pod: Body, sources: Sources) -> None:
        self.prepared.append(sources.config_map("cm"))
        self.labels.append(sources.field("metadata.labels"))


async def test_a_config_map_changed_a_thousand_times_a_minute_is_written_a_few_times() -> None:
    device = Device(storage=(storage := CountingStorage()))
    device.desired.put("pods", a_pod(volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
    async with device.agent():
        for number in range(1000):
            metadata = {"namespace": "default", "name": "cm"}
            device.desired.put("configmaps", {"metadata": metadata, "data": {"k": str(number)}})
            await pass_time(0.06)
        await pass_time(15.0)
        assert 2 < len(storage.prepared) < 15
        assert storage.prepared[-1] == {"k": b"999"}


async def test_volumes_follow_the_pods_own_labels(device: Device) -> None:
    device.storage = storage = CountingStorage()
    pod = a_pod()
    device.desired.put("pods", pod)
    async with device.agent():
        device.desired.put("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"tier": "gold"}}})
        await settle()
        assert storage.labels == ["", 'tier="gold"']
        device.desired.put("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"tier": "gold"}}})
        await pass_time(15.0)
        assert len(storage.labels) == 2


async def test_a_pod_waits_for_the_volume_behind_its_claim() -> None:
    class Claims(MemoryStorage):
        async def prepare(self, pod: Body, sources: Sources) -> None:
            if sources.persistent_volume("pv-1") is None:
                raise VolumeUnavailable("not here")

    device = Device(storage=Claims())
    claim = {"persistentVolumeClaim": {"claimName": "data"}}
    device.desired.put("pods", a_pod(volumes=[{"name": "v", **claim}]))
    async with device.agent():
        assert device.phase() == "Pending"
        spec = {"claimRef": {"namespace": "default", "name": "data"}}
        device.desired.put("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": spec})
        await settle()
        assert device.phase() == "Running"
