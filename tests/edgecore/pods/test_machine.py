from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.containers import TRANSITIONS, Container, Kind, Phase, Stimulus
from edgecore.pods.events import (
    ClearPod,
    HostMoved,
    PodApplied,
    PodRemoved,
    PrepareVolumes,
    ReferencesChanged,
    ReleaseVolumes,
    ReportFinished,
    ReportStatus,
    SignalContainer,
    SliceCompleted,
    StartContainer,
)
from edgecore.pods.runtimes.base import Exit
from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, Uid
from tests.support.examples import trying
from tests.support.podbenches import WALL, Bench
from tests.support.pods import a_pod, deleted


@pytest.fixture
def bench() -> Bench:
    return Bench()


def containers(*names: str) -> list[Body]:
    return [{"name": name, "image": "img:1", "command": ["x"]} for name in names]


class TestRunning:
    def test_a_pod_comes_up_and_says_so(self, bench: Bench) -> None:
        bench.boot(a_pod())
        status = bench.status()
        assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.0.0.7", "10.0.0.7")
        assert status["qosClass"] == "BestEffort"
        main = bench.container()
        assert (main["ready"], main["started"], main["restartCount"]) == (True, True, 0)
        assert main["containerID"] == "process://main-0"
        assert "running" in main["state"]
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready", "PodReadyToStartContainers"):
            assert bench.condition(kind) == "True"
        assert bench.reasons() == ["Started"]

    def test_pods_without_an_address_of_their_own_follow_the_nodes(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(HostMoved("192.168.7.7"))
        status = bench.status()
        assert (status["podIP"], status["hostIP"], status["hostIPs"]) == (*["192.168.7.7"] * 2, [{"ip": "192.168.7.7"}])
        assert bench.running() == [("main", 0)]

    def test_missing_references_are_waited_for_visibly(self, bench: Bench) -> None:
        bench.volumes_missing = True
        bench.boot(a_pod())
        assert bench.status()["phase"] == "Pending"
        assert bench.container()["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert bench.condition("Ready") == "False"
        bench.volumes_missing = False
        bench.tell(ReferencesChanged(Uid("u1")))
        assert bench.status()["phase"] == "Running"

    def test_failed_volumes_are_tried_again(self, bench: Bench) -> None:
        bench.volumes_missing = True
        bench.boot(a_pod())
        bench.pass_time(0.5)
        bench.volumes_missing = False
        bench.pass_time(1)
        assert bench.running() == [("main", 0)]

    def test_a_refused_start_waits_with_its_reason_and_comes_with_the_reference(self, bench: Bench) -> None:
        bench.refusal = "CreateContainerConfigError"
        bench.boot(a_pod())
        assert bench.container()["state"] == {"waiting": {"reason": "CreateContainerConfigError", "message": "cannot"}}
        assert bench.status()["phase"] == "Pending"
        bench.refusal = ""
        bench.tell(ReferencesChanged(Uid("u1")))
        assert (bench.running(), bench.container()["restartCount"]) == ([("main", 0)], 0)

    def test_a_refused_start_is_tried_again_later_and_said_once(self, bench: Bench) -> None:
        bench.refusal = "RunContainerError"
        bench.boot(a_pod())
        bench.pass_time(100)
        assert bench.reasons() == ["Failed"]
        bench.refusal = ""
        bench.pass_time(300)
        assert bench.running() == [("main", 0)]

    def test_a_start_that_is_refused_for_a_week_is_tried_every_five_minutes(self, bench: Bench) -> None:
        bench.refusal = "RunContainerError"
        bench.boot(a_pod())
        bench.pass_time(7 * 86_400)
        bench.log.clear()
        bench.pass_time(600)
        assert sum(isinstance(one, StartContainer) for one in bench.log) == 2

    def test_a_refused_restart_keeps_the_last_exit_in_view(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.refusal = "RunContainerError"
        bench.exit(code=3)
        main = bench.container()
        assert main["state"]["waiting"]["reason"] == "RunContainerError"
        assert main["lastState"]["terminated"]["exitCode"] == 3
        bench.refusal = ""
        bench.pass_time(300)
        assert bench.running() == [("main", 1)]

    def test_volumes_follow_their_sources_while_running(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.log.clear()
        bench.tell(ReferencesChanged(Uid("u1")))
        assert bench.log == [PrepareVolumes(Uid("u1"))]

    def test_a_new_image_restarts_the_container(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        pod = a_pod(restartPolicy="Never")
        pod["spec"]["containers"][0]["image"] = "img:2"
        bench.tell(PodApplied(pod))
        assert bench.signals() == [("main", 15)]
        bench.exit(code=143, signal=15)
        assert bench.running() == [("main", 1)]
        assert (bench.container()["image"], bench.container()["restartCount"]) == ("img:2", 1)
        assert bench.status()["phase"] == "Running"

    def test_other_changes_restart_nothing(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(a_pod(tolerations=[{"operator": "Exists"}])))
        assert (bench.running(), bench.signals()) == ([("main", 0)], [])


class TestComingBack:
    """A cloud restored from a backup wants again what it had deleted, under the old uid."""

    def test_a_pod_that_was_stopped_runs_again(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        bench.exit(code=143, signal=15)
        assert bench.status()["phase"] == "Failed"
        bench.tell(PodApplied(a_pod()))
        assert (bench.running(), bench.status()["phase"]) == ([("main", 1)], "Running")
        bench.tell(PodApplied(deleted(a_pod())))
        bench.exit(code=143, signal=15)
        assert bench.log.count(ReportFinished(Uid("u1"))) == 2

    def test_a_pod_that_is_still_stopping_is_started_again_when_it_has(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        bench.tell(PodApplied(a_pod()))
        assert bench.running() == [("main", 0)]
        bench.exit(code=143, signal=15)
        assert (bench.running(), bench.status()["phase"]) == ([("main", 1)], "Running")
        assert ReportFinished(Uid("u1")) not in bench.log

    def test_one_that_never_ran_begins(self, bench: Bench) -> None:
        bench.volumes_missing = True
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        assert bench.status()["phase"] == "Failed"
        bench.volumes_missing = False
        bench.tell(PodApplied(a_pod()))
        assert (bench.running(), bench.status()["phase"]) == ([("main", 0)], "Running")

    def test_an_end_of_its_own_stays_one(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        bench.exit(code=0)
        bench.tell(PodApplied(deleted(a_pod(restartPolicy="Never"))))
        bench.tell(PodApplied(a_pod(restartPolicy="Never")))
        assert (bench.running(), bench.status()["phase"]) == ([], "Succeeded")

    def test_an_end_by_its_deadline_stays_one(self, bench: Bench) -> None:
        bench.boot(a_pod(activeDeadlineSeconds=5))
        bench.pass_time(6)
        bench.exit(code=143, signal=15)
        bench.tell(PodApplied(deleted(a_pod(activeDeadlineSeconds=5))))
        bench.tell(PodApplied(a_pod(activeDeadlineSeconds=5)))
        assert (bench.running(), bench.status()["reason"]) == ([], "DeadlineExceeded")

    def test_after_a_restart_of_the_agent_too(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        bench.exit(code=143, signal=15)
        bench.reboot_agent(deleted(a_pod()))
        bench.tell(PodApplied(a_pod()))
        assert (bench.running(), bench.status()["phase"]) == ([("main", 1)], "Running")

    def test_what_an_agent_that_died_had_heard_of_it_only(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        bench.exit(code=143, signal=15)
        bench.reboot_agent(a_pod())
        assert (bench.running(), bench.status()["phase"]) == ([("main", 1)], "Running")

    def test_one_that_was_removed_begins_anew_when_it_is_cleared(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodRemoved(Uid("u1")))
        bench.tell(PodApplied(a_pod()))
        assert bench.running() == [("main", 0)]
        bench.exit(code=143, signal=15)
        assert ClearPod(Uid("u1")) in bench.log
        assert (bench.running(), bench.status()["phase"]) == ([("main", 0)], "Running")

    def test_one_that_came_back_and_was_removed_again_stays_away(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodRemoved(Uid("u1")))
        bench.tell(PodApplied(a_pod()))
        bench.tell(PodRemoved(Uid("u1")))
        bench.exit(code=143, signal=15)
        assert bench.running() == []


class TestRestarts:
    @pytest.mark.parametrize(
        ("policy", "code", "phase", "running"),
        [
            ("Always", 0, "Running", [("main", 1)]),
            ("Always", 1, "Running", [("main", 1)]),
            ("OnFailure", 0, "Succeeded", []),
            ("OnFailure", 1, "Running", [("main", 1)]),
            ("Never", 0, "Succeeded", []),
            ("Never", 1, "Failed", []),
        ],
    )
    def test_policies(self, bench: Bench, policy: str, code: int, phase: str, running: list[tuple[str, int]]) -> None:
        bench.boot(a_pod(restartPolicy=policy))
        bench.exit(code=code)
        assert (bench.status()["phase"], bench.running()) == (phase, running)

    def test_a_crash_loop_backs_off_from_10_to_300_seconds(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.exit(code=1)
        for delay in (10, 20, 40, 80, 160, 300, 300):
            bench.exit(code=1)
            main = bench.container()
            assert main["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            assert f"back-off {delay}s" in main["state"]["waiting"]["message"]
            assert main["lastState"]["terminated"]["exitCode"] == 1
            assert bench.status()["phase"] == "Running"
            assert bench.condition("Ready") == "False"
            bench.pass_time(delay - 0.5)
            assert bench.running() == []
            bench.pass_time(1)
            assert len(bench.running()) == 1

    def test_ten_minutes_of_running_end_a_crash_loop(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.exit(code=1)
        bench.exit(code=1)
        bench.pass_time(10)
        bench.pass_time(600)
        bench.exit(code=1)
        assert bench.running() == [("main", 3)]

    def test_final_phases_stay(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        bench.exit(code=3)
        status = bench.status()
        assert ReleaseVolumes(Uid("u1")) in bench.log
        bench.tell(ReferencesChanged(Uid("u1")), PodApplied(a_pod(restartPolicy="Never")))
        bench.pass_time(1000)
        assert bench.status() == status
        bench.reboot_agent(a_pod(restartPolicy="Never"))
        assert (bench.status(), bench.running()) == (status, [])

    def test_one_failed_container_fails_the_pod_only_when_all_have_ended(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never", containers=containers("a", "b")))
        bench.exit("a", 1)
        assert bench.status()["phase"] == "Running"
        bench.exit("b", 0)
        assert bench.status()["phase"] == "Failed"


class TestInitContainers:
    def pod(self, **spec: Any) -> Body:
        return a_pod(initContainers=containers("one", "two"), **spec)

    def test_they_run_one_after_another_before_the_work(self, bench: Bench) -> None:
        bench.boot(self.pod())
        assert bench.running() == [("one", 0)]
        assert bench.container()["state"] == {"waiting": {"reason": "PodInitializing"}}
        assert bench.condition("Initialized") == "False"
        bench.exit("one")
        assert bench.running() == [("two", 0)]
        bench.exit("two")
        assert bench.running() == [("main", 0)]
        assert bench.condition("Initialized") == "True"

    def test_a_failing_one_is_retried_and_holds_up_the_rest(self, bench: Bench) -> None:
        bench.boot(self.pod())
        bench.exit("one", 1)
        assert bench.running() == [("one", 1)]
        assert bench.status()["phase"] == "Pending"

    def test_where_nothing_restarts_a_failing_one_fails_the_pod(self, bench: Bench) -> None:
        bench.boot(self.pod(restartPolicy="Never"))
        bench.exit("one", 1)
        assert (bench.status()["phase"], bench.running()) == ("Failed", [])

    def test_a_sidecar_runs_beside_and_ends_last(self, bench: Bench) -> None:
        sidecar = {**containers("side")[0], "restartPolicy": "Always"}
        bench.boot(a_pod(initContainers=[sidecar], restartPolicy="Never"))
        assert bench.running() == [("side", 0), ("main", 0)]
        bench.exit("side", 1)
        assert bench.running() == [("main", 0), ("side", 1)]
        bench.exit("main", 0)
        assert bench.signals() == [("side", 15)]
        assert bench.status()["phase"] == "Running"
        bench.exit("side", 143)
        assert bench.status()["phase"] == "Succeeded"


class TestEnding:
    def test_deletion_stops_reports_and_clears_when_the_object_goes(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod(), grace_s=5)))
        assert bench.signals() == [("main", 15)]
        assert ReportFinished(Uid("u1")) not in bench.log
        bench.pass_time(4.9)
        assert bench.signals() == [("main", 15)]
        bench.pass_time(0.2)
        assert bench.signals() == [("main", 15), ("main", 9)]
        bench.exit(code=137, signal=9)
        final = [one for one in bench.log if isinstance(one, ReportStatus | ReportFinished)][-2:]
        assert isinstance(final[0], ReportStatus)
        assert final[0].remembered.status["phase"] == "Failed"
        assert final[1] == ReportFinished(Uid("u1"))
        assert ClearPod(Uid("u1")) not in bench.log
        bench.tell(PodRemoved(Uid("u1")))
        assert bench.machine.get(Uid("u1")) is None

    def test_a_second_deletion_can_shorten_the_grace_period(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod(), grace_s=60)))
        bench.tell(PodApplied(deleted(a_pod(), grace_s=0)))
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_a_kill_without_effect_is_repeated(self, bench: Bench) -> None:
        bench.boot(a_pod(terminationGracePeriodSeconds=1))
        bench.tell(PodRemoved(Uid("u1")))
        bench.pass_time(12)
        assert bench.signals() == [("main", 15), ("main", 9), ("main", 9)]

    def test_a_pod_deleted_before_it_ran_is_finished_at_once(self, bench: Bench) -> None:
        bench.volumes_missing = True
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        assert bench.log[-1] == ReportFinished(Uid("u1"))
        assert bench.running() == []

    def test_a_removed_pod_is_stopped_and_says_nothing_more(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.log.clear()
        bench.tell(PodRemoved(Uid("u1")))
        bench.exit(code=143, signal=15)
        assert not [one for one in bench.log if isinstance(one, ReportStatus | ReportFinished)]
        assert bench.states == {}

    def test_a_successor_waits_until_the_old_pod_has_gone(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodRemoved(Uid("u1")), PodApplied(a_pod(uid="u2")))
        assert [state.id.pod for state in bench.states.values() if state.exit is None] == ["u1"]
        assert bench.status("u2")["phase"] == "Pending"
        bench.exit(code=143, signal=15)
        assert [state.id.pod for state in bench.states.values() if state.exit is None] == ["u2"]

    def test_the_active_deadline_fails_the_pod(self, bench: Bench) -> None:
        bench.boot(a_pod(activeDeadlineSeconds=60))
        bench.pass_time(59)
        assert bench.signals() == []
        bench.pass_time(2)
        assert bench.signals() == [("main", 15)]
        bench.exit(code=0)
        assert (bench.status()["phase"], bench.status()["reason"]) == ("Failed", "DeadlineExceeded")

    def test_the_active_deadline_counts_on_over_a_restart_of_the_agent(self, bench: Bench) -> None:
        bench.boot(a_pod(activeDeadlineSeconds=60))
        bench.pass_time(50)
        bench.reboot_agent(a_pod(activeDeadlineSeconds=60))
        bench.pass_time(11)
        assert bench.signals() == [("main", 15)]

    def test_stopping_all_starts_nothing_again_and_decides_nothing(self, bench: Bench) -> None:
        bench.boot(a_pod(), a_pod("job", "u2", restartPolicy="Never"))
        bench._settle(bench.machine.stop_all(bench.now))
        assert len(bench.running()) == 2
        bench.exit(code=143, uid="u1")
        bench.exit(code=0, uid="u2")
        assert bench.machine.idle
        assert bench.running() == []
        bench.reboot_agent(a_pod(), a_pod("job", "u2", restartPolicy="Never"))
        assert bench.running() == [("main", 1)]
        assert bench.status("u2")["phase"] == "Succeeded"


class TestAgentRestarts:
    def test_what_runs_is_adopted_and_its_history_kept(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.exit(code=1)
        before = bench.status()
        bench.pass_time(100)
        bench.reboot_agent(a_pod())
        assert bench.status() == before
        assert [type(one) for one in bench.log if isinstance(one, StartContainer | SignalContainer)] == []
        assert bench.running() == [("main", 1)]

    def test_an_exit_meanwhile_is_acted_on(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        (state,) = bench.states.values()
        bench.states[state.id] = replace(state, exit=Exit(WALL + 200, 42, 0, "Error"))
        bench.reboot_agent(a_pod(restartPolicy="Never"))
        assert bench.status()["phase"] == "Failed"
        assert bench.container()["state"]["terminated"]["exitCode"] == 42

    def test_a_crash_loop_is_not_forgotten(self, bench: Bench) -> None:
        bench.boot(a_pod())
        for _ in range(3):
            bench.exit(code=1)
            bench.pass_time(300) if not bench.running() else None
        bench.exit(code=1)
        assert bench.running() == []
        bench.reboot_agent(a_pod())
        assert bench.running() == []
        assert bench.container()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        bench.pass_time(300)
        assert len(bench.running()) == 1

    def test_what_the_device_itself_lost_is_no_crash_to_wait_for(self, bench: Bench) -> None:
        bench.boot(a_pod())
        for cut in range(4):
            (running,) = [state for state in bench.states.values() if state.exit is None]
            lost = Exit(WALL + bench.time, 137, 0, "ContainerStatusUnknown", "the node restarted while it ran")
            bench.states[running.id] = replace(running, exit=lost)
            bench.reboot_agent(a_pod())
            assert bench.running() == [("main", cut + 1)]
        bench.exit(code=1)
        assert bench.running() == []

    def test_a_stop_that_was_under_way_is_continued(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod())))
        bench.reboot_agent(deleted(a_pod()))
        assert bench.signals() == [("main", 15)]
        bench.exit(code=0)
        assert ReportFinished(Uid("u1")) in bench.log

    def test_orphans_are_stopped_and_removed(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.reboot_agent()
        assert bench.signals() == [("main", 15)]
        bench.exit(code=143)
        assert bench.states == {}

    def test_an_orphans_successor_of_the_same_name_waits_for_it(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.reboot_agent(a_pod(uid="u2"))
        assert [state.id.pod for state in bench.states.values() if state.exit is None] == ["u1"]
        bench.exit(code=143, uid="u1")
        assert [state.id.pod for state in bench.states.values() if state.exit is None] == ["u2"]

    def test_in_a_store_that_is_not_complete_nothing_is_an_orphan_yet(self, bench: Bench) -> None:
        bench.boot(a_pod(), a_pod("other", "u2"))
        bench.reboot_agent(complete=False)
        assert bench.signals() == []
        bench.tell(PodApplied(a_pod()))
        assert bench.status()["phase"] == "Running"
        bench.tell(SliceCompleted())
        assert [(one.container.pod, one.number) for one in bench.log if isinstance(one, SignalContainer)] == [
            ("u2", 15)
        ]

    def test_in_a_store_that_is_not_complete_a_successor_still_waits_for_whom_it_succeeds(self, bench: Bench) -> None:
        bench.boot(a_pod(), a_pod("other", "u3"))
        bench.reboot_agent(complete=False)
        bench.tell(PodApplied(a_pod(uid="u2")))
        assert {one.container.pod for one in bench.log if isinstance(one, SignalContainer)} == {"u1"}
        assert "u2" not in {state.id.pod for state in bench.states.values()}
        bench.exit(code=143, uid="u1")
        assert {state.id.pod for state in bench.states.values() if state.exit is None} == {"u2", "u3"}

    def test_an_exit_before_a_pod_is_claimed_is_not_lost(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        bench.reboot_agent(complete=False)
        bench.exit(code=9)
        bench.tell(PodApplied(a_pod(restartPolicy="Never")))
        assert bench.container()["state"]["terminated"]["exitCode"] == 9


class TestTable:
    @pytest.mark.parametrize("phase", list(Phase))
    @pytest.mark.parametrize("stimulus", list(Stimulus))
    def test_what_is_not_listed_raises(self, phase: Phase, stimulus: Stimulus) -> None:
        container = Container(Uid("u"), "c", Kind.MAIN, "i", "Always", phase=phase)
        if (phase, stimulus) in TRANSITIONS:
            container.move(stimulus)
            assert container.phase is TRANSITIONS[phase, stimulus]
        else:
            with pytest.raises(LocalProtocolError):
                container.move(stimulus)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("exit"), st.integers(0, 2)),
        st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 9.0, 31.0, 400.0])),
        st.tuples(st.just("missing"), st.booleans()),
        st.tuples(st.just("refusal"), st.sampled_from(["", "RunContainerError", "CreateContainerConfigError"])),
        st.tuples(st.just("refs"), st.none()),
        st.tuples(st.just("image"), st.integers(1, 3)),
        st.tuples(st.just("delete"), st.integers(0, 40)),
        st.tuples(st.just("remove"), st.none()),
        st.tuples(st.just("replace"), st.none()),
        st.tuples(st.just("agent"), st.booleans()),
    ),
    max_size=30,
)


@dataclass
class Story:
    """Carries out the steps of a random history, remembering what the store would hold."""

    extra: dict[str, Any]
    bench: Bench = field(default_factory=lambda: Bench(kills_work=True))
    wanted: Body | None = None
    serial: int = 1

    def begin(self) -> None:
        self.wanted = a_pod(**self.extra)
        self.bench.boot(self.wanted)

    def exit(self, code: int) -> None:
        running = [state.id for state in self.bench.states.values() if state.exit is None]
        if running:
            self.bench.exit(running[-1].name, code, running[-1].pod)

    def time(self, seconds: float) -> None:
        self.bench.pass_time(seconds)

    def missing(self, missing: bool) -> None:
        self.bench.volumes_missing = missing

    def refusal(self, reason: str) -> None:
        self.bench.refusal = reason

    def refs(self, _: None) -> None:
        if self.wanted:
            self.bench.tell(ReferencesChanged(Uid(self.wanted["metadata"]["uid"])))

    def image(self, number: int) -> None:
        if self.wanted:
            first = {**self.wanted["spec"]["containers"][0], "image": f"img:{number}"}
            self.wanted = {**self.wanted, "spec": {**self.wanted["spec"], "containers": [first]}}
            self.bench.tell(PodApplied(self.wanted))

    def delete(self, grace_s: int) -> None:
        if self.wanted:
            self.wanted = deleted(self.wanted, grace_s)
            self.bench.tell(PodApplied(self.wanted))

    def remove(self, _: None) -> None:
        if self.wanted:
            self.bench.tell(PodRemoved(Uid(self.wanted["metadata"]["uid"])))
        self.wanted = None

    def replace(self, _: None) -> None:
        self.remove(None)
        self.serial += 1
        self.wanted = a_pod(uid=f"u{self.serial}", **self.extra)
        self.bench.tell(PodApplied(self.wanted))

    def agent(self, _: bool) -> None:
        self.bench.reboot_agent(*([self.wanted] if self.wanted else []))


@trying(150)
@given(STEPS, st.sampled_from(["Always", "OnFailure", "Never"]), st.booleans())
def test_whatever_happens_the_machine_stays_sound_and_ends_where_it_should(
    steps: list[tuple[str, Any]], policy: str, with_init: bool
) -> None:
    extra: dict[str, Any] = {"restartPolicy": policy}
    if with_init:
        extra["initContainers"] = [*containers("init"), {**containers("side")[0], "restartPolicy": "Always"}]
    story = Story(extra)
    story.begin()
    for step, value in steps:
        getattr(story, step)(value)
    _end_well(story.bench, story.wanted)


def _end_well(bench: Bench, wanted: Body | None) -> None:
    """Let everything that is asked to stop do so, and see that what is wanted is there."""
    bench.volumes_missing, bench.refusal = False, ""
    stays = wanted is not None and "deletionTimestamp" not in wanted["metadata"]
    stop = {wanted["metadata"]["uid"]} if wanted is not None and stays else set()
    bench.pass_time(1000)
    for _ in range(5):
        for state in [s for s in bench.states.values() if s.exit is None and s.id.pod not in stop]:
            bench.exit(state.id.name, 143, state.id.pod)
        bench.pass_time(1000)
    assert not [state for state in bench.states.values() if state.exit is None and state.id.pod not in stop]
    if wanted is None:
        assert bench.machine.statuses() == []
    elif wanted["metadata"]["uid"] in stop:
        for _ in range(5):
            for state in [s for s in bench.states.values() if s.exit is None and s.id.name == "init"]:
                bench.exit("init", 0, state.id.pod)
            bench.pass_time(400)
        phase = bench.status(wanted["metadata"]["uid"])["phase"]
        assert phase in ("Succeeded", "Failed") or ("main" in {name for name, _ in bench.running()})
    else:
        assert ReportFinished(Uid(wanted["metadata"]["uid"])) in bench.log
