"""What must hold after a run of the fault lab. Pure: evidence in, what is wrong in words out; empty is right.

The evidence is read from disks, from the process table, from logs and from what pods wrote themselves: not from what
the daemons believe.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgpack

from cloudcore.store.base import Record
from edgecore.meta.engine import Snapshot
from protocol.digest import Digest
from protocol.messages import InventoryEntry
from protocol.objects.keys import ObjectKey
from protocol.objects.projections import projection
from protocol.objects.resources import PODS
from tests.support.judging import Objects, acknowledged, slice_of
from tests.support.simulatedusers import User, state_of

MEMORY_SHARE = 0.10
MEMORY_BYTES = 6 << 20
"""Memory is back where it started when it is no more than both above the start. Seeds of 24 s end within 2 MiB of it
(edge 39 MiB, cloud 104 MiB); the rest is for pages that the allocator cannot give back after a burst. A leak of 100
bytes for each change or reconnection would show within an hour, not in one short run: that is what long runs are for.
A daemon that was killed counts from its last start."""

MOST_IN_FLIGHT = 4096
"""Items on their way to one node at most; the default window grants fewer."""


@dataclass(frozen=True, slots=True)
class CloudDisk:
    """What the cloud's database holds."""

    incarnation: str
    records: Mapping[ObjectKey, Record]

    def objects(self) -> Objects:
        """Return the objects."""
        return {key: record.decode() for key, record in self.records.items()}


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a running daemon.

    Attributes:
        at_s: When, seconds from the start of the run.
        rss_bytes: Resident memory.
        metrics: What its metrics said, by name, labels summed up; empty where it has none or did not answer.
    """

    at_s: float
    rss_bytes: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Evidence:
    """What a run has left.

    Attributes:
        cloud: The cloud's disk at the end.
        edges: The disk of each edge at the end.
        users: Who wrote, and what they know.
        starts: Lines that pods wrote when they started: event, node, name, uid, pid.
        rolled_back: Uids of pods that a restored backup has brought back: they may have started again.
        running: Pids of containers' processes by uid, for each node.
        phases: What each edge says of its link.
        owed: What each edge still has to tell.
        before: A sample of each daemon from before the faults.
        after: One from after.
        samples: Samples of the cloud in between.
        logs: The daemons' logs.
        resumes: How each edge's last session began, after everything was delivered.
        surprises: What went wrong outside of all this, such as a daemon that ended by itself.
    """

    cloud: CloudDisk
    edges: Mapping[str, Snapshot]
    users: Sequence[User]
    starts: Sequence[str] = ()
    rolled_back: frozenset[str] = frozenset()
    running: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    phases: Mapping[str, str] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, Sample] = field(default_factory=dict)
    after: Mapping[str, Sample] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    resumes: Mapping[str, str] = field(default_factory=dict)
    surprises: Sequence[str] = ()


def at_rest(evidence: Evidence) -> list[str]:
    """Return what still differs between what was acknowledged, the cloud and the edges. Settles with time."""
    objects = evidence.cloud.objects()
    wrong = [each for user in evidence.users for each in acknowledged(user, objects)]
    for node, held in evidence.edges.items():
        about = [*_slice(node, held, evidence.cloud, objects), *_digests(node, held, evidence.cloud, objects)]
        about += [*_delivered(node, held, evidence.users, objects), *_processes(node, evidence, objects)]
        if evidence.phases.get(node) != "connected":
            about.append(f"is {evidence.phases.get(node)}")
        if evidence.owed.get(node):
            about.append(f"still owes {evidence.owed[node]} reports")
        wrong += [f"{node}: {each}" for each in about]
    return wrong


def in_the_end(evidence: Evidence) -> list[str]:
    """Return everything that is wrong, also what no time can mend."""
    wrong = [*at_rest(evidence), *evidence.surprises]
    wrong += [*_starts(evidence), *_queues(evidence), *_memory(evidence), *_logs(evidence)]
    wrong += [
        f"{node}: resumed with {how}, though it held everything"
        for node, how in evidence.resumes.items()
        if how != "equal"
    ]
    return wrong


def _slice(node: str, held: Snapshot, cloud: CloudDisk, objects: Objects) -> Iterator[str]:
    wanted = slice_of(node, objects)
    rows = {row.key: row for row in held.objects}
    yield from (f"still holds {key}" for key in rows.keys() - wanted.keys())
    for key, body in wanted.items():
        row = rows.get(key)
        if row is None:
            yield f"lacks {key}"
        elif row.uid != body["metadata"]["uid"] or msgpack.unpackb(row.body) != projection(key.resource, body):
            yield f"holds another {key}"
        elif row.version != cloud.records[key].content_revision:
            yield f"holds {key} at version {row.version}, not {cloud.records[key].content_revision}"


def _digests(node: str, held: Snapshot, cloud: CloudDisk, objects: Objects) -> Iterator[str]:
    ours = [cloud.records[key] for key in slice_of(node, objects)]
    wanted = Digest(cloud.incarnation, [InventoryEntry(r.key, r.uid, r.content_revision) for r in ours])
    found = Digest(held.facts.get("incarnation", ""), [InventoryEntry(r.key, r.uid, r.version) for r in held.objects])
    if wanted.value != found.value:
        yield f"digest {found.value.hex()} of {found.count}, the cloud's is {wanted.value.hex()} of {wanted.count}"


def _delivered(node: str, held: Snapshot, users: Sequence[User], objects: Objects) -> Iterator[str]:
    """Yield the acknowledged changes that are not on the device's disk, whatever the cloud says it should hold."""
    rows = {row.key: row for row in held.objects}
    for user in users:
        for key, state in user.present():
            if key.resource == PODS and objects.get(key, {}).get("spec", {}).get("nodeName") == node:
                row = rows.get(key)
                if row is None or state_of(msgpack.unpackb(row.body)).number != state.number:
                    yield f"lacks write {state.number} of {key}"


def _processes(node: str, evidence: Evidence, objects: Objects) -> Iterator[str]:
    wanted = {
        body["metadata"]["uid"]: key.name
        for key, body in objects.items()
        if key.resource == PODS and body["spec"].get("nodeName") == node
    }
    running = evidence.running.get(node, {})
    yield from (f"pod {name} ({uid}) does not run" for uid, name in wanted.items() if uid not in running)
    yield from (f"pod {uid} runs and should not" for uid in running if uid not in wanted)


def _starts(evidence: Evidence) -> Iterator[str]:
    started: Counter[str] = Counter()
    for line in evidence.starts:
        event, node, name, uid, _pid = line.split()
        if event == "doubled":
            yield f"{node}: {name} ({uid}) was started beside another"
        else:
            started[uid] += 1
    for uid, times in started.items():
        if times > 1 and uid not in evidence.rolled_back:
            yield f"pod {uid} was started {times} times"


def _queues(evidence: Evidence) -> Iterator[str]:
    most = {"outbox_items": len(evidence.edges) * 2 * max(1, len(evidence.cloud.records))}
    most["link_in_flight_items"] = len(evidence.edges) * MOST_IN_FLIGHT
    for sample in evidence.samples:
        for name, bound in most.items():
            if sample.metrics.get(name, 0) > bound:
                yield f"{name} was {sample.metrics[name]:.0f} at {sample.at_s:.1f} s, bound {bound}"
    for name in most:
        if evidence.after and evidence.after["cloud"].metrics.get(name) != 0:
            yield f"{name} is {evidence.after['cloud'].metrics.get(name)} in the end"


def _memory(evidence: Evidence) -> Iterator[str]:
    for name, before in evidence.before.items():
        bound = before.rss_bytes * (1 + MEMORY_SHARE) + MEMORY_BYTES
        if not 0 < evidence.after[name].rss_bytes <= bound:
            yield f"{name}: {evidence.after[name].rss_bytes >> 20} MiB, it began with {before.rss_bytes >> 20} MiB"


_CRASH = re.compile(r"Traceback \(most recent call last\)|never retrieved|never awaited|Exception ignored")


def _logs(evidence: Evidence) -> Iterator[str]:
    for name, text in evidence.logs.items():
        for line in text.splitlines():
            if _CRASH.search(line):
                yield f"{name} logged {_shortened(line)}"


def _shortened(line: str) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        return line[:300]
    return f"{fields.get('event')}: …{str(fields.get('exception', ''))[-300:]}"
