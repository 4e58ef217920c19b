"""The judge of the fault lab can fail: each of these runs has one thing wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import msgpack
import pytest

from cloudcore.client import Client
from cloudcore.store.base import Record, encode
from edgecore.meta.engine import ObjectRow, Snapshot
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.projections import projection
from tests.support.faultjudge import CloudDisk, Evidence, Sample, at_rest, in_the_end
from tests.support.simulatedusers import NUMBER, Memory, State, User

NODE = "e1"
NODE_KEY = ObjectKey("nodes", "", NODE)
POD = ObjectKey("pods", "alpha", "web")
WORDS = ObjectKey("configmaps", "alpha", "words")
WEB = Uid("uid-web")


def object_of(key: ObjectKey, number: int, **fields: Body) -> Body:
    metadata = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
    return {"metadata": {**metadata, "annotations": {NUMBER: str(number)}}, **fields}


def record(key: ObjectKey, body: Body, revision: int) -> Record:
    return Record(key, Uid(body["metadata"]["uid"]), Revision(revision), Revision(revision), encode(body))


def row(held: Record) -> ObjectRow:
    body = msgpack.packb(projection(held.key.resource, held.decode()))
    return ObjectRow(held.key, held.uid, held.content_revision, body, 1)


def spotless() -> Evidence:
    """Return the evidence of a run in which nothing went wrong: a node, its pod, and the ConfigMap that it names."""
    container = {"name": "main", "envFrom": [{"configMapRef": {"name": WORDS.name}}]}
    bodies = {
        NODE_KEY: {"metadata": {"name": NODE, "uid": "uid-node"}},
        POD: object_of(POD, 7, spec={"nodeName": NODE, "containers": [container]}),
        WORDS: object_of(WORDS, 3),
    }
    records = {key: record(key, body, at) for at, (key, body) in enumerate(bodies.items(), 10)}
    user = User(_no_client, "alpha", Random(1))
    user.memories = {POD: Memory([State(WEB, 7)]), WORDS: Memory([State(None, 3)])}
    edge = Snapshot(tuple(map(row, records.values())), facts={"incarnation": "one"})
    quiet = {"outbox_items": 0.0, "link_in_flight_items": 0.0}
    return Evidence(
        CloudDisk("one", records),
        {NODE: edge},
        [user],
        starts=[f"started {NODE} web {WEB} 1"],
        running={NODE: {WEB: [11, 12]}},
        phases={NODE: "connected"},
        owed={NODE: 0},
        before={"cloud": Sample(1.0, 100 << 20), NODE: Sample(1.0, 40 << 20)},
        after={"cloud": Sample(9.0, 101 << 20, quiet), NODE: Sample(9.0, 41 << 20)},
        samples=[Sample(2.0, 0, {"outbox_items": 3.0})],
        logs={NODE: '{"event": "connected"}'},
        resumes={NODE: "equal"},
    )


def _no_client() -> Client:
    raise AssertionError("the judge asks nobody")


def test_a_spotless_run_is_passed() -> None:
    assert in_the_end(spotless()) == []


# What the edge holds.


def hold(evidence: Evidence, rows: tuple[ObjectRow, ...], incarnation: str = "one") -> None:
    evidence.edges = {NODE: Snapshot(rows, facts={"incarnation": incarnation})}


def rows_of(evidence: Evidence) -> dict[ObjectKey, ObjectRow]:
    return {held.key: held for held in evidence.edges[NODE].objects}


def lacks_an_object(evidence: Evidence) -> None:
    rows = rows_of(evidence)
    del rows[WORDS]
    hold(evidence, tuple(rows.values()))


def holds_one_too_many(evidence: Evidence) -> None:
    old = row(record(WORDS._replace(name="old"), object_of(WORDS._replace(name="old"), 1), 5))
    hold(evidence, (*rows_of(evidence).values(), old))


def holds_other_content(evidence: Evidence) -> None:
    rows = rows_of(evidence)
    rows[WORDS] = replace(rows[WORDS], body=msgpack.packb(object_of(WORDS, 2)))
    hold(evidence, tuple(rows.values()))


def holds_another_version(evidence: Evidence) -> None:
    rows = rows_of(evidence)
    rows[WORDS] = replace(rows[WORDS], version=Revision(4))
    hold(evidence, tuple(rows.values()))


def is_of_another_incarnation(evidence: Evidence) -> None:
    hold(evidence, evidence.edges[NODE].objects, "zero")  # type: ignore[arg-type]


def lost_an_acknowledged_write_on_both_sides(evidence: Evidence) -> None:
    """Cloud and edge agree, and both are wrong."""
    evidence.users[0].memories[POD] = Memory([State(WEB, 8)])


def lost_an_acknowledged_object_on_both_sides(evidence: Evidence) -> None:
    evidence.users[0].memories[WORDS._replace(name="gone")] = Memory([State(None, 9)])


def kept_what_was_deleted(evidence: Evidence) -> None:
    evidence.users[0].memories[WORDS] = Memory([None])


# What runs.


def was_started_beside_another(evidence: Evidence) -> None:
    evidence.starts = [*evidence.starts, f"doubled {NODE} web {WEB} 2"]


def was_started_twice(evidence: Evidence) -> None:
    evidence.starts = [*evidence.starts, f"started {NODE} web {WEB} 2"]


def does_not_run(evidence: Evidence) -> None:
    evidence.running = {NODE: {}}


def runs_a_deleted_pod(evidence: Evidence) -> None:
    evidence.running = {NODE: {WEB: [11], "uid-old": [13]}}


# The daemons.


def is_offline(evidence: Evidence) -> None:
    evidence.phases = {NODE: "offline"}


def owes_a_report(evidence: Evidence) -> None:
    evidence.owed = {NODE: 1}


def has_a_queue_that_grew(evidence: Evidence) -> None:
    evidence.samples = [Sample(2.0, 0, {"outbox_items": 50_000.0})]


def has_a_queue_that_never_empties(evidence: Evidence) -> None:
    metrics = {"outbox_items": 1.0, "link_in_flight_items": 0.0}
    evidence.after = {**evidence.after, "cloud": Sample(9.0, 101 << 20, metrics)}


def has_no_metrics_in_the_end(evidence: Evidence) -> None:
    evidence.after = {**evidence.after, "cloud": Sample(9.0, 101 << 20)}


def leaks(evidence: Evidence) -> None:
    evidence.after = {**evidence.after, NODE: Sample(9.0, 60 << 20)}


def has_vanished(evidence: Evidence) -> None:
    evidence.after = {**evidence.after, NODE: Sample(9.0, 0)}


def logged_a_trace(evidence: Evidence) -> None:
    evidence.logs = {NODE: "Traceback (most recent call last):\n  File …"}


def logged_a_structured_trace(evidence: Evidence) -> None:
    evidence.logs = {NODE: '{"event": "failed", "exception": "Traceback (most recent call last): … KeyError"}'}


def resumed_with_an_inventory(evidence: Evidence) -> None:
    evidence.resumes = {NODE: "inventory"}


def ended_by_itself(evidence: Evidence) -> None:
    evidence.surprises = ["e1 ended by itself with status 1"]


SABOTAGE: dict[Callable[[Evidence], None], str] = {
    lacks_an_object: "e1: lacks ",
    holds_one_too_many: "e1: still holds ",
    holds_other_content: "e1: holds another ",
    holds_another_version: "at version 4, not 12",
    is_of_another_incarnation: "e1: digest ",
    lost_an_acknowledged_write_on_both_sides: "e1: lacks write 8 of ",
    lost_an_acknowledged_object_on_both_sides: "is None, it may be ",
    kept_what_was_deleted: "it may be [None]",
    was_started_beside_another: "was started beside another",
    was_started_twice: "was started 2 times",
    does_not_run: "e1: pod web (uid-web) does not run",
    runs_a_deleted_pod: "e1: pod uid-old runs and should not",
    is_offline: "e1: is offline",
    owes_a_report: "e1: still owes 1 reports",
    has_a_queue_that_grew: "outbox_items was 50000",
    has_a_queue_that_never_empties: "outbox_items is 1.0 in the end",
    has_no_metrics_in_the_end: "outbox_items is None in the end",
    leaks: "e1: 60 MiB, it began with 40 MiB",
    has_vanished: "e1: 0 MiB",
    logged_a_trace: "e1 logged Traceback",
    logged_a_structured_trace: "e1 logged failed: …Traceback",
    resumed_with_an_inventory: "e1: resumed with inventory",
    ended_by_itself: "e1 ended by itself",
}


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda sabotage: sabotage.__name__)
def test_a_run_that(sabotage: Callable[[Evidence], None]) -> None:
    evidence = spotless()
    sabotage(evidence)
    wrong = in_the_end(evidence)
    assert any(SABOTAGE[sabotage] in each for each in wrong), wrong


def test_a_pod_that_a_restored_backup_brought_back_may_start_again() -> None:
    evidence = spotless()
    was_started_twice(evidence)
    evidence.rolled_back = frozenset({WEB})
    assert in_the_end(evidence) == []
    was_started_beside_another(evidence)
    assert in_the_end(evidence) != []


def test_what_was_in_doubt_may_be_either_way() -> None:
    evidence = spotless()
    evidence.users[0].memories[WORDS] = Memory([State(None, 2), State(None, 3)])
    assert at_rest(evidence) == []
