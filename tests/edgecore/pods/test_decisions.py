"""What the node decides about pods: to end or refuse one, to hold one back; through the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.events import HoldSet, PodApplied, PodFailed, PodHeld, ProbeEnded, ReportStatus, RunProbe, SetHold
from edgecore.pods.holds import CONDITION, RETRY_S, Hold
from edgecore.pods.probes import Outcome, ProbeKind
from edgecore.pods.runtimes.base import ContainerId
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, Uid
from tests.support.examples import trying
from tests.support.podbenches import Bench
from tests.support.pods import a_pod, deleted

U1 = Uid("u1")
EVICTED = PodFailed(U1, "Evicted", "The node was low on resource: memory.", grace_s=0.0, disruption=True)


@pytest.fixture
def bench() -> Bench:
    return Bench(kills_work=True)


def probed() -> Body:
    probe = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 1}
    return a_pod(containers=[{"name": "main", "image": "img:1", "command": ["x"], "livenessProbe": probe}])


def hold(bench: Bench, hold: Hold, message: str = "the node is short of memory") -> None:
    bench.tell(PodHeld(U1, hold, message))


def asked(bench: Bench) -> list[Hold]:
    return [one.hold for one in bench.log if isinstance(one, SetHold)]


class TestAPodThatIsEnded:
    def test_it_is_killed_at_once_where_it_has_no_grace_and_fails_with_the_reason(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(EVICTED)
        bench.pass_time(0.1)
        status = bench.status()
        assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Evicted", EVICTED.message)
        assert bench.signals() == [("main", 15), ("main", 9)]
        assert bench.said()[-2:] == [("Evicted", EVICTED.message), ("Killing", "Stopping container main")]

    def test_the_disruption_is_told_as_the_kubelet_tells_it(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(EVICTED)
        found = find_condition(bench.status()["conditions"], "DisruptionTarget")
        assert found is not None
        assert (found["status"], found["reason"], found["message"]) == ("True", "TerminationByKubelet", EVICTED.message)

    def test_it_has_its_own_grace_period_where_that_is_shorter(self, bench: Bench) -> None:
        bench.boot(a_pod(terminationGracePeriodSeconds=3))
        bench.tell(PodFailed(U1, "Evicted", "", grace_s=60.0))
        bench.pass_time(2.9)
        assert bench.signals() == [("main", 15)]
        bench.pass_time(0.2)
        assert bench.signals() == [("main", 15), ("main", 9)]

    def test_while_it_stops_its_phase_is_not_final_and_it_is_not_started_again(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodFailed(U1, "Evicted", "", grace_s=10.0))
        assert bench.status()["phase"] == "Running"
        bench.exit(code=1)
        bench.pass_time(3600)
        assert (bench.status()["phase"], bench.running()) == ("Failed", [])

    def test_an_agent_that_comes_up_meanwhile_goes_on_to_end_it(self, bench: Bench) -> None:
        bench.kills_work = False
        bench.boot(a_pod())
        bench.tell(EVICTED)
        bench.kills_work = True
        bench.reboot_agent(a_pod())
        bench.pass_time(60)
        status = bench.status()
        assert (status["phase"], status["reason"], bench.running()) == ("Failed", "Evicted", [])
        assert find_condition(status["conditions"], "DisruptionTarget") is not None

    def test_it_stays_ended_over_restarts_of_the_agent(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(EVICTED)
        for _ in range(2):
            bench.reboot_agent(a_pod())
            bench.pass_time(600)
            assert (bench.running(), bench.status()["reason"]) == ([], "Evicted")

    def test_a_pod_that_never_began_is_refused(self, bench: Bench) -> None:
        bench.volumes_missing = True
        bench.boot(a_pod())
        bench.tell(PodFailed(U1, "OutOfcpu", "Node didn't have enough resource: cpu"))
        bench.volumes_missing = False
        bench.pass_time(600)
        status = bench.status()
        assert (status["phase"], status["reason"], bench.running()) == ("Failed", "OutOfcpu", [])
        assert find_condition(status["conditions"], "DisruptionTarget") is None
        assert "OutOfcpu" in bench.reasons()

    def test_what_has_come_to_its_end_already_stays_as_it_is(self, bench: Bench) -> None:
        bench.boot(a_pod(restartPolicy="Never"))
        bench.exit(code=0)
        bench.tell(EVICTED)
        assert bench.status()["phase"] == "Succeeded"
        assert "reason" not in bench.status()

    def test_one_that_is_being_deleted_is_ended_sooner(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.tell(PodApplied(deleted(a_pod(), grace_s=30)))
        bench.tell(EVICTED)
        bench.pass_time(0.1)
        assert bench.signals()[-1] == ("main", 9)


class TestAPodThatIsHeld:
    def test_a_throttled_pod_is_told_of_and_shown(self, bench: Bench) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.THROTTLED)
        assert asked(bench) == [Hold.THROTTLED]
        assert bench.said()[-1] == ("SlaThrottled", "the node is short of memory")
        found = find_condition(bench.status()["conditions"], CONDITION)
        assert found is not None
        assert (found["status"], found["reason"]) == ("True", "SlaThrottled")
        assert bench.condition("Ready") == "True"

    def test_a_paused_pod_is_not_ready_and_becomes_so_again(self, bench: Bench) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.PAUSED)
        assert (bench.condition("Ready"), bench.status()["phase"]) == ("False", "Running")
        hold(bench, Hold.NONE, "the node has memory again")
        assert (bench.condition("Ready"), bench.condition(CONDITION)) == ("True", "False")
        assert bench.said()[-1] == ("SlaResumed", "the node has memory again")

    def test_it_is_written_down_before_it_is_paused_and_until_it_was_let_go(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.log.clear()
        hold(bench, Hold.PAUSED)
        hold(bench, Hold.NONE)
        order = [one for one in bench.log if isinstance(one, SetHold | ReportStatus)]
        shown = [one.hold if isinstance(one, SetHold) else _shown(one) for one in order]
        assert shown == ["True", Hold.PAUSED, Hold.NONE, "False"]

    def test_probes_of_a_paused_pod_do_not_count(self, bench: Bench) -> None:
        bench.health["Liveness"] = None
        bench.boot(probed())
        hold(bench, Hold.PAUSED)
        bench.tell(ProbeEnded(ContainerId(U1, "main", 0), ProbeKind.LIVENESS, Outcome.FAILURE))
        bench.log.clear()
        bench.pass_time(600)
        assert bench.log == []
        bench.health["Liveness"] = Outcome.SUCCESS
        hold(bench, Hold.NONE)
        bench.pass_time(5)
        assert any(isinstance(one, RunProbe) for one in bench.log)
        assert bench.signals() == []

    def test_nothing_is_started_in_a_paused_pod(self, bench: Bench) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.PAUSED)
        bench.exit(code=1)
        bench.pass_time(600)
        assert bench.running() == []
        hold(bench, Hold.NONE)
        bench.pass_time(1)
        assert bench.running() == [("main", 1)]

    @pytest.mark.parametrize("end", [EVICTED, PodApplied(deleted(a_pod()))])
    def test_it_is_let_go_before_it_is_told_to_end(self, bench: Bench, end: PodFailed | PodApplied) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.PAUSED)
        bench.log.clear()
        bench.tell(end)
        kinds = [type(one).__name__ for one in bench.log]
        assert asked(bench) == [Hold.NONE]
        assert kinds.index("SetHold") < kinds.index("SignalContainer")

    def test_the_next_agent_knows_and_makes_it_so_again(self, bench: Bench) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.PAUSED)
        bench.reboot_agent(a_pod())
        assert bench.machine.holds() == {U1: Hold.PAUSED}
        assert (asked(bench), bench.condition(CONDITION)) == ([Hold.PAUSED], "True")
        hold(bench, Hold.NONE)
        assert (asked(bench), bench.condition(CONDITION)) == ([Hold.PAUSED, Hold.NONE], "False")

    def test_what_is_not_wanted_any_more_is_let_go_by_the_next_agent(self, bench: Bench) -> None:
        bench.boot(a_pod())
        hold(bench, Hold.PAUSED)
        bench.reboot_agent()
        kinds = [type(one).__name__ for one in bench.log]
        assert asked(bench) == [Hold.NONE]
        assert kinds.index("SetHold") < kinds.index("SignalContainer")

    def test_what_could_not_be_carried_out_is_tried_again(self, bench: Bench) -> None:
        bench.boot(a_pod())
        bench.hold_error = "the kernel says no"
        hold(bench, Hold.PAUSED)
        bench.pass_time(2 * RETRY_S)
        assert asked(bench) == [Hold.PAUSED] * 3
        bench.hold_error = ""
        bench.pass_time(600)
        assert asked(bench) == [Hold.PAUSED] * 4

    @trying(60)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(list(Hold)),
                st.sampled_from(["reboot", "exit", "fail", "work", "wait"]),
            ),
            max_size=12,
        )
    )
    def test_whatever_happens_what_is_so_is_what_was_wanted_last(self, steps: list[Hold | str]) -> None:
        bench = Bench(kills_work=True)
        bench.boot(probed())
        wanted = Hold.NONE
        for step in steps:
            match step:
                case Hold():
                    wanted = step
                    hold(bench, step)
                case "reboot":
                    bench.reboot_agent(probed())
                case "exit" if bench.running():
                    bench.exit(code=1)
                case "fail" | "work":
                    bench.hold_error = "no" if step == "fail" else ""
                case _:
                    bench.pass_time(7)
        bench.hold_error = ""
        bench.pass_time(2 * RETRY_S)
        assert bench.held.get(U1, Hold.NONE) is wanted
        assert bench.machine.holds() == {U1: wanted}


def test_an_answer_about_a_pod_that_is_gone_is_nothing(bench: Bench) -> None:
    bench.boot()
    bench.tell(HoldSet(U1), EVICTED, PodHeld(U1, Hold.PAUSED, ""))
    assert bench.log == []


def _shown(report: ReportStatus) -> str:
    found = find_condition(report.remembered.status["conditions"], CONDITION)
    return "" if found is None else str(found["status"])
