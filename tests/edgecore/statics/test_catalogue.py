"""Which files are read when, and what they amount to."""

from __future__ import annotations

import json

from edgecore.statics.catalogue import Catalogue, Sighting, catalogue_of, is_manifest
from protocol.objects.keys import Body, NodeName

AT = "2026-01-01T00:00:00Z"


def manifest(name: str = "web", image: str = "i") -> Body:
    spec = {"containers": [{"name": "c", "image": image}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def encoded(*pods: Body) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pods)}).encode()


def catalogue() -> Catalogue:
    return Catalogue(NodeName("n1"), "/m")


def names(known: Catalogue) -> list[str]:
    return [pod["metadata"]["name"] for pod in known.pods()]


def uid(known: Catalogue, name: str) -> str:
    return next(str(pod["metadata"]["uid"]) for pod in known.pods() if pod["metadata"]["name"] == name)


def test_a_file_counts_once_it_is_still() -> None:
    known = catalogue()
    assert known.due({"a.json": Sighting((1,), 0.1)}) == []
    assert known.due({"a.json": Sighting((2,), 0.1)}) == []
    assert known.due({"a.json": Sighting((2,), 0.9)}) == ["a.json"]


def test_an_old_file_counts_at_once_and_one_from_the_future_is_looked_at_twice() -> None:
    known = catalogue()
    assert known.due({"a.json": Sighting((1,), 60.0), "b.json": Sighting((1,), -60.0)}) == ["a.json"]
    known.read("a.json", (1,), encoded(manifest()), at=AT)
    assert known.due({"a.json": Sighting((1,), 60.0), "b.json": Sighting((1,), -59.0)}) == ["b.json"]


def test_only_manifests_are_looked_at() -> None:
    wanted = ["a.yaml", "a.yml", "a.json"]
    others = [".a.yaml", "a.yaml~", "#a.yaml#", ".a.yaml.swp", "a.yaml.tmp", "a.txt", "a", "4913", ".#a.yaml"]
    assert [name for name in [*wanted, *others] if is_manifest(name)] == wanted


def test_a_file_that_turns_bad_keeps_what_it_said_until_it_is_mended_or_gone() -> None:
    known = catalogue()
    known.read("a.json", (1,), encoded(manifest()), at=AT)
    before = uid(known, "web-n1")
    known.read("a.json", (2,), b"{", at=AT)
    assert uid(known, "web-n1") == before
    assert "not JSON" in known.problems()["a.json"]
    known.read("a.json", (3,), encoded(manifest(image="j")), at=AT)
    assert uid(known, "web-n1") != before
    assert known.problems() == {}
    assert known.gone({})
    assert names(known) == []
    assert not known.gone({})


def test_a_bad_file_does_not_disturb_the_others() -> None:
    known = catalogue()
    known.read("a.json", (1,), encoded(manifest("a")), at=AT)
    known.read("b.json", (1,), b"\xff\xfe", at=AT)
    assert names(known) == ["a-n1"]


def test_of_two_pods_with_one_name_the_first_files_runs() -> None:
    known = catalogue()
    known.read("b.json", (1,), encoded(manifest(), manifest("other")), at=AT)
    assert names(known) == ["web-n1", "other-n1"]
    known.read("a.json", (1,), encoded(manifest(image="j")), at=AT)
    assert names(known) == ["web-n1"]
    assert known.problems() == {"b.json": "pod default/web-n1 is in a.json too"}
    known.read("c.json", (1,), encoded(manifest("x"), manifest("x")), at=AT)
    assert names(known) == ["web-n1"]


def test_what_is_written_down_is_what_the_next_agent_knows() -> None:
    known = catalogue()
    known.read("a.json", (1,), encoded(manifest()), at=AT)
    known.read("a.json", (2,), b"{", at="2027-01-01T00:00:00Z")
    stored = json.loads(json.dumps(known.state()))
    later = catalogue()
    later.restore(stored)
    assert later.pods() == known.pods()
    assert later.problems() == known.problems()
    assert later.due({"a.json": Sighting((2,), 60.0)}) == []
    moved = Catalogue(NodeName("n2"), "/m")
    moved.restore(stored)
    assert moved.pods() == []


def test_a_file_that_only_was_touched_is_the_same_pod() -> None:
    known = catalogue()
    known.read("a.json", (1,), encoded(manifest()), at=AT)
    before = known.pods()
    known.read("a.json", (2,), encoded(manifest()), at="2027-01-01T00:00:00Z")
    assert known.pods() == before


def test_a_record_that_makes_no_sense_is_passed_over() -> None:
    states: list[object] = [None, [], {}, {"node": "n1"}, {"node": 1, "folder": 2}]
    for state in states:
        assert catalogue_of(state) is None
    broken = {"node": "n1", "folder": "/m", "files": {"a.json": {"signature": "x"}, "b.json": 7, "c.json": None}}
    found = catalogue_of(broken)
    assert found is not None
    assert found.pods() == []


def test_more_files_than_there_may_be_are_complained_about() -> None:
    known = catalogue()
    due = known.due({f"{number:04}.json": Sighting((1,), 60.0) for number in range(501)})
    assert len(due) == 500
    assert "500 of 501" in known.problems()[""]
