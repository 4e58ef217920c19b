"""What is to run: static pods and the cloud's, without mirrors."""

from __future__ import annotations

from collections.abc import Sequence

from edgecore.meta.base import Applied, Held
from edgecore.statics.wanted import WantedPods
from protocol.objects.keys import Body, ObjectKey
from tests.support.pods import FakeDesired, a_pod


class Told:
    def __init__(self) -> None:
        self.changes: list[Applied] = []
        self.done = 0

    def applied(self, changes: Sequence[Applied]) -> None:
        self.changes += changes

    def completed(self) -> None:
        self.done += 1

    def take(self) -> list[tuple[str, str, str]]:
        changes, self.changes = self.changes, []
        return [(each.key.name, _uid(each.previous), _uid(each.held)) for each in changes]


def _uid(held: Held | None) -> str:
    return "" if held is None else held.uid


def mirror(name: str, uid: str, of: str) -> Body:
    pod = a_pod(name, uid)
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": of}
    return pod


def made() -> tuple[WantedPods, FakeDesired, Told, list[ObjectKey]]:
    stored, told, mirrors = FakeDesired(), Told(), list[ObjectKey]()
    wanted = WantedPods(stored)
    wanted.subscribe(told)
    wanted.on_mirrors = lambda changes: mirrors.extend(key for key, _ in changes)
    return wanted, stored, told, mirrors


def change(wanted: WantedPods, held: Body | None, previous: Body | None) -> None:
    def of(body: Body | None) -> Held | None:
        if body is None:
            return None
        metadata = body["metadata"]
        return Held(ObjectKey("pods", metadata["namespace"], metadata["name"]), metadata["uid"], 1, body)  # type: ignore[arg-type]

    now, before = of(held), of(previous)
    some = now or before
    assert some is not None
    wanted.applied([Applied(some.key, now, before)])


def test_static_pods_come_change_and_go() -> None:
    wanted, _, told, _ = made()
    wanted.replace([a_pod("a", "1"), a_pod("b", "1b")])
    assert told.take() == [("a", "", "1"), ("b", "", "1b")]
    wanted.replace([a_pod("a", "2"), a_pod("b", "1b")])
    assert told.take() == [("a", "1", "2")]
    wanted.replace([a_pod("b", "1b")])
    assert told.take() == [("a", "2", "")]
    wanted.replace([a_pod("b", "1b")])
    assert told.take() == []


def test_a_mirror_starts_no_second_pod() -> None:
    wanted, stored, told, mirrors = made()
    wanted.replace([a_pod("a", "1")])
    told.take()
    stored.put("pods", mirror("a", "m", "1"))
    change(wanted, mirror("a", "m", "1"), None)
    change(wanted, None, mirror("a", "m", "1"))
    assert told.take() == []
    assert [key.name for key in mirrors] == ["a", "a"]
    assert [held.uid for held in wanted.list("pods")] == ["1"]
    assert [held.uid for held in wanted.mirrors()] == ["m"]
    held = wanted.get(ObjectKey("pods", "default", "a"))
    assert held is not None
    assert held.uid == "1"


def test_a_pod_whose_name_a_mirror_takes_is_gone() -> None:
    wanted, _, told, mirrors = made()
    change(wanted, mirror("a", "m", "1"), a_pod("a", "cloud"))
    assert told.take() == [("a", "cloud", "")]
    assert len(mirrors) == 1


def test_all_else_passes() -> None:
    wanted, stored, told, _ = made()
    stored.put("pods", a_pod("a", "1"))
    change(wanted, a_pod("a", "1"), None)
    wanted.completed()
    assert told.take() == [("a", "", "1")]
    assert told.done == 1


def test_without_a_cloud_nothing_else_can_be_wanted() -> None:
    stored = FakeDesired()
    stored.complete = False
    assert not WantedPods(stored).complete
    assert WantedPods(stored, standalone=True).complete
