"""Node lifecycle: a lease not renewed for 40 s makes a node ``Unknown``, and conditions become taints.

The cloud writes a node's conditions only when the node can no longer do so itself, and keeps what it wrote over in an
annotation: a node whose lease is renewed again has what it last said restored at once, for it reports only changes.
Pods' statuses are never touched: the edge says what runs, and a device that is cut off keeps running it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloudcore.controllers.nodes import zones
from cloudcore.controllers.nodes.leases import LeaseTracker
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import NotFound
from protocol.objects.conditions import find_condition, set_condition
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import LEASES, NODES
from protocol.objects.times import timestamp
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE, NOT_READY, REPORTED_CONDITIONS, UNREACHABLE, UNSCHEDULABLE

GRACE_S: Final = 40.0
GUARD_S: Final = 10.0
"""How often a node that is not ready is looked at again: the mass-eviction guard may have changed its mind."""
SURVEY_S: Final = 1.0
"""How old the guard's count of ready nodes may be."""

STOPPED: Final = "NodeStatusUnknown"
_PRESSURES: Final = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_REPORTED: Final = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_OURS: Final = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURES.values()})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write; None leaves it.

    Attributes:
        conditions: The node's new conditions.
        taints: Its new taints, those of others included.
        reported: What to keep in the :data:`REPORTED_CONDITIONS` annotation; empty removes it.
        gives_up: Whether the taints include a new ``NoExecute``, which costs a turn of the zone's pace.
    """

    conditions: list[Body] | None = None
    taints: list[Body] | None = None
    reported: str | None = None
    gives_up: bool = False


def plan(node: Body, *, expired: bool, may_evict: bool, now: float) -> Plan:
    """Decide about one node.

    Args:
        node: The Node.
        expired: Whether its lease has run out.
        may_evict: Whether pods may be told to leave; false under the mass-eviction guard.
        now: Epoch seconds, for timestamps.
    """
    before = (node.get("status") or {}).get("conditions") or []
    kept = (node["metadata"].get("annotations") or {}).get(REPORTED_CONDITIONS, "")
    at = timestamp(now)
    conditions = _unknown(before, at) if expired else _restored(before, kept, at)
    present = (node.get("spec") or {}).get("taints") or []
    wanted = _taints(node, conditions)
    has_evicting = any(taint["effect"] == "NoExecute" and taint["key"] in _OURS for taint in present)
    if not may_evict:
        wanted = [taint for taint in wanted if taint[1] != "NoExecute"]
    taints = _merge(present, wanted, at)
    reported = _reported(before) or kept if expired else ""
    return Plan(
        conditions=conditions if conditions != before else None,
        taints=taints if taints != present else None,
        reported=reported if reported != kept else None,
        gives_up=not has_evicting and any(effect == "NoExecute" for _, effect in wanted),
    )


def is_ready(node: Body) -> bool:
    """Tell whether the node's ``Ready`` condition is true."""
    condition = find_condition((node.get("status") or {}).get("conditions"), "Ready")
    return condition is not None and condition["status"] == "True"


def _unknown(before: Sequence[Body], at: str) -> list[Body]:
    conditions = list(before)
    for kind in _REPORTED:
        current = find_condition(conditions, kind)
        if current is not None and current["status"] == "Unknown":
            continue
        reason = "NodeStatusNeverUpdated" if current is None else STOPPED
        message = (
            "The node's agent never posted its status."
            if current is None
            else "The node's agent stopped posting its status."
        )
        heartbeat = {"lastHeartbeatTime": (current or {}).get("lastHeartbeatTime", at)}
        new = {"type": kind, "status": "Unknown", "reason": reason, "message": message, **heartbeat}
        conditions = set_condition(conditions, new, at=at)
    return conditions


def _reported(conditions: Sequence[Body]) -> str:
    """Return what is about to be overwritten, as the annotation holds it."""
    said = [entry for entry in conditions if entry["type"] in _REPORTED and entry["status"] != "Unknown"]
    return json.dumps(said, separators=(",", ":")) if said else ""


def _restored(before: Sequence[Body], kept: str, at: str) -> list[Body]:
    """Return the conditions with those that the cloud made Unknown as the node had reported them."""
    conditions = list(before)
    for entry in _parse(kept):
        current = find_condition(conditions, entry["type"])
        if current is not None and current["status"] == "Unknown" and current.get("reason") == STOPPED:
            conditions = set_condition(conditions, entry, at=at)
    return conditions


def _parse(kept: str) -> list[Body]:
    """Return the annotation's conditions; none from one that somebody has spoiled."""
    try:
        entries = json.loads(kept or "[]")
    except ValueError:
        return []
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and {"type", "status"} <= entry.keys()]


def _taints(node: Body, conditions: Sequence[Body]) -> list[tuple[str, str]]:
    """Return the keys and effects that the node's state asks for."""
    ready = find_condition(conditions, "Ready")
    status = "Unknown" if ready is None else ready["status"]
    wanted = []
    if status != "True":
        key = NOT_READY if ready is None or status == "False" else UNREACHABLE
        wanted.append((key, "NoSchedule"))
        if ready is not None:  # a node that has not reported yet has no pods to lose
            wanted.append((key, "NoExecute"))
    for kind, key in _PRESSURES.items():
        condition = find_condition(conditions, kind)
        if condition is not None and condition["status"] == "True":
            wanted.append((key, "NoSchedule"))
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    return wanted


def _merge(present: Sequence[Body], wanted: Sequence[tuple[str, str]], at: str) -> list[Body]:
    """Return ``present`` with our taints being exactly ``wanted``; those that stay keep their ``timeAdded``."""
    kept = [taint for taint in present if taint["key"] not in _OURS or (taint["key"], taint["effect"]) in wanted]
    held = {(taint["key"], taint["effect"]) for taint in kept}
    new = [{"key": key, "effect": effect, "timeAdded": at} for key, effect in wanted if (key, effect) not in held]
    return [*kept, *new]


def keys_of_node(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    """Return the node's key where something changed that decides about its conditions or taints.

    Most of a fleet's writes are statuses that say again what is known; none of them is worth a reconcile.
    """
    if old is not None and new is not None and _concern(old) == _concern(new):
        return ()
    return own_keys(NODES)(old, new)


def _concern(node: Body) -> tuple[object, ...]:
    spec = node.get("spec") or {}
    conditions = (node.get("status") or {}).get("conditions") or ()
    kept = (node["metadata"].get("annotations") or {}).get(REPORTED_CONDITIONS)
    judged = [(each.get("type"), each.get("status")) for each in conditions]
    return node["metadata"].get("uid"), spec.get("taints"), spec.get("unschedulable"), kept, judged


class NodeLifecycleController:
    """Reconciles nodes; keys are theirs.

    Args:
        context: What controllers work with.
        grace_s: How long a lease may go without renewal, seconds.
    """

    name = "node-lifecycle"
    workers = 4

    def __init__(self, context: Context, grace_s: float = GRACE_S) -> None:
        self._client = context.client
        self._clock = context.clock
        self._nodes = context.informers.for_resource(NODES)
        self._leases = context.informers.for_resource(LEASES)
        self._tracker = LeaseTracker(context.clock.monotonic(), grace_s)
        self._pacer = zones.Pacer()
        self._expired: set[str] = set()
        self._surveyed: dict[str, zones.Zone] = {}
        self._surveyed_at = float("-inf")
        self._recorder = context.recorder.named("node-controller")

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow nodes, and leases of nodes that were given up."""
        return (Watching(NODES, keys_of_node), Watching(LEASES, self._keys_of_lease))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Judge the node, write what changed, and say when to look again."""
        node = self._nodes.get(key)
        if node is None:
            self._tracker.forget(key.name)
            self._expired.discard(key.name)
            return DONE
        left_s = self._tracker.look(key.name, self._clock.monotonic())
        expired = left_s <= 0
        (self._expired.add if expired else self._expired.discard)(key.name)
        await self._write(node, self._decide(node, expired))
        if expired or not is_ready(node):
            return RequeueAfter(GUARD_S if expired else min(left_s, GUARD_S))
        return RequeueAfter(left_s)

    def _decide(self, node: Body, expired: bool) -> Plan:
        """Plan under the mass-eviction guard, which may hold an eviction back or take one back."""
        wall, now = self._clock.wall(), self._clock.monotonic()
        decided = plan(node, expired=expired, may_evict=True, now=wall)
        if is_ready(node) and not expired:
            return decided
        surveyed, zone = self._survey(now), zones.zone_of(node)
        held = zones.is_everything_gone(surveyed)
        if decided.gives_up and not held:
            held = self._pacer.wait_s(zone, zones.rate(surveyed, zone), now) > 0
        return plan(node, expired=expired, may_evict=False, now=wall) if held else decided

    def _survey(self, now: float) -> dict[str, zones.Zone]:
        """Count the zones, at most once in a while: it goes through all nodes."""
        if now - self._surveyed_at >= SURVEY_S:
            self._surveyed_at = now
            self._surveyed = zones.survey(
                (zones.zone_of(node), is_ready(node) and node["metadata"]["name"] not in self._expired)
                for node in self._nodes.list()
            )
        return self._surveyed

    async def _write(self, node: Body, decided: Plan) -> None:
        """Write what the plan says; what the node had reported is safe before it is written over."""
        try:
            if decided.reported:
                node = await self._write_head(node, decided)
            if decided.conditions is not None:
                node = await self._write_conditions(node, decided.conditions)
            if not decided.reported:
                await self._write_head(node, decided)
        except NotFound:
            return

    async def _write_head(self, node: Body, decided: Plan) -> Body:
        """Write taints and annotation, provided nothing else changed meanwhile."""
        if decided.taints is None and decided.reported is None:
            return node
        metadata = node["metadata"]
        patch: Body = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
        if decided.reported is not None:
            patch["metadata"]["annotations"] = {REPORTED_CONDITIONS: decided.reported or None}
        if decided.taints is not None:
            patch["spec"] = {"taints": decided.taints or None}
        return await self._client.patch(NODES, "", metadata["name"], patch)

    async def _write_conditions(self, node: Body, conditions: list[Body]) -> Body:
        body = {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}
        written = await self._client.update(NODES, body, subresource="status")
        reason = "NodeReady" if is_ready(written) else "NodeNotReady"
        message = f"Node {node['metadata']['name']} status is now: {reason}"
        self._recorder.event(written, "Normal", reason, message)
        return written

    def _keys_of_lease(self, _old: Body | None, lease: Body | None) -> Iterable[ObjectKey]:
        """Note the renewal; only a node that was given up needs to be looked at for it."""
        if lease is None or lease["metadata"].get("namespace") != NODE_LEASE_NAMESPACE:
            return ()
        name = lease["metadata"]["name"]
        beat = str((lease.get("spec") or {}).get("renewTime", ""))
        is_news = self._tracker.note(name, beat, self._clock.monotonic())
        return (ObjectKey(NODES, "", name),) if is_news and name in self._expired else ()
