"""Probes and hooks of a pod, through the machine; what else a pod does is in ``test_machine``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.events import HookEnded, PodApplied, ProbeEnded, ReportStatus, RunHook, RunProbe, SignalContainer
from edgecore.pods.lifecycles import LAST_MOMENT_S, POST_START_MAX_S, Hook
from edgecore.pods.probes import Outcome, ProbeKind
from edgecore.pods.runtimes.base import ContainerId
from protocol.objects.keys import Body, Uid
from tests.support.examples import trying
from tests.support.podbenches import Bench
from tests.support.pods import a_pod, deleted

EXEC = {"exec": {"command": ["check"]}}
OK, BAD, ERROR = Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNKNOWN


@pytest.fixture
def bench() -> Bench:
    return Bench()


def one(name: str = "main", **fields: Any) -> Body:
    return {"name": name, "image": "img:1", "command": ["x"], **fields}


def probed(*kinds: str, policy: str = "Always", more: Body | None = None, **fields: Any) -> Body:
    """Return a pod whose container has these probes, each of one try per second unless ``fields`` say otherwise."""
    probe = {**EXEC, "periodSeconds": 1, "failureThreshold": 1, **fields}
    stated: Body = {f"{kind}Probe": probe for kind in kinds}
    return a_pod(restartPolicy=policy, containers=[one(**stated, **(more or {}))])


def hooked(uid: str = "u1", **lifecycle: Any) -> Body:
    return a_pod(uid=uid, containers=[one(lifecycle=lifecycle)])


def flags(bench: Bench, name: str = "main") -> tuple[bool, bool]:
    status = bench.container(name)
    return status["started"], status["ready"]


class TestReadiness:
    def test_a_pod_is_not_ready_before_its_probe_says_so(self, bench: Bench) -> None:
        bench.health["Readiness"] = BAD
        bench.boot(probed("readiness"))
        assert flags(bench) == (True, False)
        assert (bench.status()["phase"], bench.condition("Ready")) == ("Running", "False")
        bench.health["Readiness"] = OK
        bench.pass_time(1)
        assert flags(bench) == (True, True)
        assert (bench.condition("Ready"), bench.condition("ContainersReady")) == ("True", "True")

    def test_a_failure_makes_it_unready_and_does_not_restart_it(self, bench: Bench) -> None:
        bench.boot(probed("readiness", failureThreshold=3))
        bench.health["Readiness"] = BAD
        bench.pass_time(2)
        assert flags(bench) == (True, True)
        bench.pass_time(1)
        assert flags(bench) == (True, False)
        assert (bench.signals(), bench.running()) == ([], [("main", 0)])
        assert ("Unhealthy", "Readiness probe failed: the answer") in bench.said()

    def test_a_probe_that_could_not_be_carried_out_changes_nothing_and_is_told(self, bench: Bench) -> None:
        bench.boot(probed("readiness"))
        bench.health["Readiness"] = ERROR
        bench.pass_time(10)
        assert flags(bench) == (True, True)
        assert bench.said()[-1] == (
            "Unhealthy",
            "Readiness probe errored and resulted in unknown state: the answer",
        )

    def test_a_warning_is_a_success_that_is_told(self, bench: Bench) -> None:
        bench.health["Readiness"] = Outcome.WARNING
        bench.boot(probed("readiness"))
        assert flags(bench) == (True, True)
        assert bench.said()[-1] == ("ProbeWarning", "Readiness probe warning: the answer")

    def test_results_are_forgotten_at_a_restart(self, bench: Bench) -> None:
        bench.boot(probed("readiness"))
        bench.health["Readiness"] = None
        bench.exit(code=1)
        assert bench.running() == [("main", 1)]
        assert flags(bench) == (True, False)

    def test_an_answer_about_an_instance_that_is_gone_is_nothing(self, bench: Bench) -> None:
        bench.health["Readiness"] = None
        bench.boot(probed("readiness"))
        bench.exit(code=1)
        bench.tell(ProbeEnded(ContainerId(Uid("u1"), "main", 0), ProbeKind.READINESS, OK))
        assert flags(bench) == (True, False)

    def test_what_is_told_to_stop_is_not_ready_and_not_probed(self, bench: Bench) -> None:
        bench.boot(probed("readiness", "liveness"))
        bench.log.clear()
        bench.tell(PodApplied(deleted(probed("readiness", "liveness"))))
        bench.pass_time(20)
        assert (flags(bench), bench.probed()) == ((True, False), [])
        assert bench.signals() == [("main", 15)]

    def test_a_pod_without_probes_is_asked_nothing(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.pass_time(1000)
        assert (flags(bench), bench.probed()) == ((True, True), [])


class TestLiveness:
    def test_a_failure_restarts_the_container(self, bench: Bench) -> None:
        bench.boot(probed("liveness"))
        bench.health["Liveness"] = BAD
        bench.pass_time(1)
        assert bench.signals() == [("main", 15)]
        assert ("Unhealthy", "Liveness probe failed: the answer") in bench.said()
        assert bench.said()[-1] == ("Killing", "Container main failed liveness probe, will be restarted")
        bench.health["Liveness"] = OK
        bench.exit(code=0)
        assert bench.running() == [("main", 1)]
        assert bench.container()["restartCount"] == 1

    @pytest.mark.parametrize(("own", "pod", "killed_after"), [(None, 20, 20), (5, 20, 5), (40, 20, 40), (0, 20, 0)])
    def test_the_probes_own_grace_period_wins(self, bench: Bench, own: int | None, pod: int, killed_after: int) -> None:
        fields: Body = {} if own is None else {"terminationGracePeriodSeconds": own}
        wanted = probed("liveness", **fields)
        wanted["spec"]["terminationGracePeriodSeconds"] = pod
        bench.health["Liveness"] = BAD
        bench.boot(wanted)
        bench.pass_time(killed_after - 0.1)
        assert bench.signals() == [("main", 15)] + ([("main", 9)] if killed_after == 0 else [])
        bench.pass_time(0.2)
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_a_deletion_meanwhile_has_its_own_grace_period(self, bench: Bench) -> None:
        wanted = probed("liveness", terminationGracePeriodSeconds=600)
        bench.health["Liveness"] = BAD
        bench.boot(wanted)
        bench.tell(PodApplied(deleted(wanted, grace_s=7)))
        bench.pass_time(7)
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_failing_again_and_again_is_a_crash_loop(self, bench: Bench) -> None:
        bench.boot(probed("liveness", initialDelaySeconds=1))
        bench.health["Liveness"] = BAD
        for _ in range(2):
            bench.pass_time(1)
            bench.exit(code=143, signal=15)
        assert bench.running() == []
        assert bench.container()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        bench.pass_time(10)
        assert bench.running() == [("main", 2)]

    @pytest.mark.parametrize(
        ("policy", "said", "phase"),
        [
            ("OnFailure", "Container main failed liveness probe, will be restarted", "Running"),
            ("Never", "Container main failed liveness probe", "Succeeded"),
        ],
    )
    def test_the_restart_policy_decides_what_follows(self, bench: Bench, policy: str, said: str, phase: str) -> None:
        bench.health["Liveness"] = BAD
        bench.boot(probed("liveness", policy=policy))
        assert bench.said()[-1] == ("Killing", said)
        bench.health["Liveness"] = OK
        bench.exit(code=0)
        assert bench.status()["phase"] == phase

    def test_what_runs_to_its_end_by_itself_is_not_restarted_for_an_old_failure(self, bench: Bench) -> None:
        bench.health["Liveness"] = BAD
        bench.boot(probed("liveness", policy="OnFailure"))
        bench.health["Liveness"] = OK
        bench.exit(code=0)
        bench.exit(code=0)
        assert (bench.running(), bench.status()["phase"]) == ([], "Succeeded")


class TestStartup:
    def test_it_holds_the_others_back(self, bench: Bench) -> None:
        bench.health["Startup"] = BAD
        bench.boot(probed("startup", "liveness", "readiness", failureThreshold=30))
        bench.pass_time(20)
        assert flags(bench) == (False, False)
        assert set(bench.probed()) == {"Startup"}
        bench.health["Startup"] = OK
        bench.pass_time(1)
        assert flags(bench) == (True, True)
        bench.log.clear()
        bench.pass_time(5)
        assert set(bench.probed()) == {"Liveness", "Readiness"}

    def test_a_failure_restarts_the_container(self, bench: Bench) -> None:
        bench.health["Startup"] = BAD
        bench.boot(probed("startup"))
        assert bench.said()[-1] == ("Killing", "Container main failed startup probe, will be restarted")
        bench.exit(code=143)
        assert bench.running() == [("main", 1)]

    def test_a_sidecar_that_has_not_started_holds_up_the_work(self, bench: Bench) -> None:
        probe = {**EXEC, "periodSeconds": 1, "failureThreshold": 30}
        side = one("side", restartPolicy="Always", startupProbe=probe)
        bench.health["Startup"] = BAD
        bench.boot(a_pod(initContainers=[side]))
        bench.pass_time(5)
        assert bench.running() == [("side", 0)]
        bench.health["Startup"] = OK
        bench.pass_time(1)
        assert bench.running() == [("side", 0), ("main", 0)]


class TestAdoption:
    def test_readiness_does_not_flap_when_the_agent_is_restarted(self, bench: Bench) -> None:
        bench.boot(probed("readiness", "startup"))
        bench.health.update(Readiness=None, Startup=None)
        bench.reboot_agent(probed("readiness", "startup"))
        assert flags(bench) == (True, True)
        reports = [one.remembered.status for one in bench.log if isinstance(one, ReportStatus)]
        assert all(status["containerStatuses"][0]["ready"] for status in reports)
        bench.pass_time(1)
        assert bench.probed() == ["Readiness"]

    def test_what_was_not_ready_is_not_ready(self, bench: Bench) -> None:
        bench.health["Readiness"] = BAD
        bench.boot(probed("readiness"))
        bench.health["Readiness"] = None
        bench.reboot_agent(probed("readiness"))
        assert flags(bench) == (True, False)

    def test_another_instance_is_not_known(self, bench: Bench) -> None:
        bench.boot(probed("readiness"))
        bench.health["Readiness"] = None
        (note,) = bench.notes.values()
        note.status["containerStatuses"][0]["containerID"] = "process://another"
        bench.reboot_agent(probed("readiness"))
        assert flags(bench) == (True, False)

    def test_a_failing_instance_is_still_restarted(self, bench: Bench) -> None:
        bench.boot(probed("liveness", failureThreshold=3))
        bench.health["Liveness"] = BAD
        bench.reboot_agent(probed("liveness", failureThreshold=3))
        bench.pass_time(4)
        assert bench.signals() == [("main", 15)]


class TestPostStart:
    def test_until_it_ends_the_container_is_not_running(self, bench: Bench) -> None:
        bench.hooks["PostStart"] = None
        bench.boot(hooked(postStart=EXEC))
        (run,) = [one for one in bench.log if isinstance(one, RunHook)]
        assert (run.hook, run.action, run.timeout_s) == (Hook.POST_START, EXEC, POST_START_MAX_S)
        assert (flags(bench), bench.status()["phase"]) == ((False, False), "Pending")
        assert bench.container()["state"] == {"waiting": {"reason": "ContainerCreating"}}
        bench.tell(HookEnded(run.container, Hook.POST_START))
        assert (flags(bench), bench.status()["phase"]) == ((True, True), "Running")

    def test_the_containers_after_it_wait(self, bench: Bench) -> None:
        bench.hooks["PostStart"] = None
        bench.boot(a_pod(containers=[one(lifecycle={"postStart": EXEC}), one("second")]))
        assert bench.running() == [("main", 0)]
        bench.tell(HookEnded(ContainerId(Uid("u1"), "main", 0), Hook.POST_START))
        assert bench.running() == [("main", 0), ("second", 0)]

    def test_probes_begin_when_it_has_ended(self, bench: Bench) -> None:
        bench.hooks["PostStart"] = None
        bench.boot(probed("liveness", more={"lifecycle": {"postStart": EXEC}}))
        bench.pass_time(50)
        assert bench.probed() == []
        bench.tell(HookEnded(ContainerId(Uid("u1"), "main", 0), Hook.POST_START))
        assert bench.probed() == ["Liveness"]

    def test_a_failure_kills_the_container_and_it_is_restarted(self, bench: Bench) -> None:
        bench.hooks["PostStart"] = "exited with 1"
        bench.boot(hooked(postStart=EXEC))
        assert ("FailedPostStartHook", "PostStartHook failed: exited with 1") in bench.said()
        assert bench.signals() == [("main", 15)]
        bench.hooks.clear()
        bench.exit(code=143)
        assert (bench.running(), flags(bench)) == ([("main", 1)], (True, True))

    def test_a_deletion_meanwhile_stops_the_container(self, bench: Bench) -> None:
        bench.hooks["PostStart"] = None
        bench.boot(hooked(postStart=EXEC))
        bench.tell(PodApplied(deleted(hooked(postStart=EXEC))))
        assert bench.signals() == [("main", 15)]
        bench.tell(HookEnded(ContainerId(Uid("u1"), "main", 0), Hook.POST_START))
        bench.exit(code=143)
        assert bench.running() == []

    def test_it_is_not_run_again_for_what_is_adopted(self, bench: Bench) -> None:
        bench.boot(hooked(postStart=EXEC))
        bench.reboot_agent(hooked(postStart=EXEC))
        assert not [one for one in bench.log if isinstance(one, RunHook)]
        assert flags(bench) == (True, True)


class TestPreStop:
    def test_it_goes_before_the_signal(self, bench: Bench) -> None:
        bench.hooks["PreStop"] = None
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC), grace_s=10)))
        (run,) = [one for one in bench.log if isinstance(one, RunHook)]
        assert (run.hook, run.timeout_s, bench.signals()) == (Hook.PRE_STOP, 10, [])
        bench.pass_time(4)
        bench.tell(HookEnded(run.container, Hook.PRE_STOP))
        assert bench.signals() == [("main", 15)]
        bench.pass_time(6)
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_one_that_uses_up_the_grace_period_leaves_a_last_moment(self, bench: Bench) -> None:
        bench.hooks["PreStop"] = None
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC), grace_s=10)))
        bench.pass_time(9.9)
        assert bench.signals() == []
        bench.pass_time(0.2)
        assert bench.signals() == [("main", 15)]
        assert "FailedPreStopHook" in bench.reasons()
        bench.pass_time(LAST_MOMENT_S - 0.2)
        assert bench.signals() == [("main", 15)]
        bench.pass_time(0.2)
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_a_failure_is_told_and_the_container_stops_all_the_same(self, bench: Bench) -> None:
        bench.hooks["PreStop"] = "exited with 1"
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC))))
        assert bench.said()[-1] == ("FailedPreStopHook", "PreStopHook failed: exited with 1")
        assert bench.signals() == [("main", 15)]

    def test_without_a_grace_period_it_is_left_out(self, bench: Bench) -> None:
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC), grace_s=0)))
        assert not [one for one in bench.log if isinstance(one, RunHook)]
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_a_restart_for_liveness_runs_it_too(self, bench: Bench) -> None:
        bench.health["Liveness"] = BAD
        bench.boot(probed("liveness", more={"lifecycle": {"preStop": EXEC}}))
        kinds = [type(one) for one in bench.log if isinstance(one, RunHook | SignalContainer)]
        assert kinds == [RunHook, SignalContainer]

    def test_a_shorter_grace_period_meanwhile_cuts_it_short(self, bench: Bench) -> None:
        bench.hooks["PreStop"] = None
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC), grace_s=600)))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC), grace_s=3)))
        bench.pass_time(3)
        assert bench.signals() == [("main", 15)]

    def test_a_container_that_ends_meanwhile_is_not_signalled(self, bench: Bench) -> None:
        bench.hooks["PreStop"] = None
        bench.boot(hooked(preStop=EXEC))
        bench.tell(PodApplied(deleted(hooked(preStop=EXEC))))
        bench.exit(code=0)
        bench.tell(HookEnded(ContainerId(Uid("u1"), "main", 0), Hook.PRE_STOP))
        assert bench.signals() == []

    def test_the_stop_signal_is_the_containers(self, bench: Bench) -> None:
        bench.boot(hooked(stopSignal="SIGUSR1"))
        bench.tell(PodApplied(deleted(hooked(stopSignal="SIGUSR1"))))
        assert bench.signals() == [("main", 10)]


def test_an_init_container_has_neither_probes_nor_hooks(bench: Bench) -> None:
    """Validation refuses them; a manifest from a folder has not been validated."""
    bench.boot(a_pod(initContainers=[one("init", lifecycle={"postStart": EXEC}, readinessProbe=EXEC)]))
    assert not [one for one in bench.log if isinstance(one, RunHook | RunProbe)]
    bench.exit("init")
    assert bench.status()["phase"] == "Running"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("health"),
            st.tuples(st.sampled_from(["Startup", "Liveness", "Readiness"]), st.sampled_from([OK, BAD, ERROR, None])),
        ),
        st.tuples(
            st.just("hook"),
            st.tuples(st.sampled_from(["PostStart", "PreStop"]), st.sampled_from(["", "exited with 1", None])),
        ),
        st.tuples(st.just("answer"), st.sampled_from(["", "late"])),
        st.tuples(st.just("time"), st.sampled_from([0.5, 1.0, 3.0, 9.0, 41.0])),
        st.tuples(st.just("exit"), st.integers(0, 2)),
        st.tuples(st.just("delete"), st.integers(0, 40)),
        st.tuples(st.just("agent"), st.none()),
    ),
    max_size=30,
)


@dataclass
class Story:
    """Carries out the steps of a random history of one pod."""

    wanted: Body
    bench: Bench = field(default_factory=lambda: Bench(kills_work=True))

    def health(self, how: tuple[str, Outcome | None]) -> None:
        self.bench.health[how[0]] = how[1]

    def hook(self, how: tuple[str, str | None]) -> None:
        self.bench.hooks[how[0]] = how[1]

    def answer(self, error: str) -> None:
        """Answer everything that was ever asked, once more or at last."""
        for asked in list(self.bench.log):
            if isinstance(asked, RunHook):
                self.bench.tell(HookEnded(asked.container, asked.hook, error))
            elif isinstance(asked, RunProbe):
                self.bench.tell(ProbeEnded(asked.container, asked.spec.kind, BAD if error else OK))

    def time(self, seconds: float) -> None:
        self.bench.pass_time(seconds)

    def exit(self, code: int) -> None:
        for name, _ in self.bench.running():
            self.bench.exit(name, code)
            return

    def delete(self, grace_s: int) -> None:
        self.wanted = deleted(self.wanted, grace_s)
        self.bench.tell(PodApplied(self.wanted))

    def agent(self, _: None) -> None:
        self.bench.reboot_agent(self.wanted)


@trying(80)
@given(STEPS, st.sampled_from(["Always", "OnFailure", "Never"]), st.sets(st.sampled_from(["postStart", "preStop"])))
def test_whatever_probes_and_hooks_do_a_pod_ends_where_it_should(
    steps: list[tuple[str, Any]], policy: str, hooks: set[str]
) -> None:
    lifecycle = {"lifecycle": {hook: EXEC for hook in sorted(hooks)}}
    story = Story(probed("startup", "liveness", "readiness", policy=policy, more=lifecycle, failureThreshold=2))
    story.wanted["spec"]["containers"][0]["readinessProbe"] = {**EXEC, "periodSeconds": 7}
    bench = story.bench
    bench.boot(story.wanted)
    for step, value in steps:
        getattr(story, step)(value)
        status = bench.container()
        assert status["ready"] <= status["started"], "ready before it has started"
        assert status["ready"] <= ("running" in status["state"])
    bench.health.clear()
    bench.hooks.clear()
    story.answer("")
    bench.pass_time(320)
    if "deletionTimestamp" in story.wanted["metadata"] or bench.status()["phase"] in ("Succeeded", "Failed"):
        bench.pass_time(60)
        assert bench.running() == []
    else:
        assert (flags(bench), bench.condition("Ready")) == ((True, True), "True")
