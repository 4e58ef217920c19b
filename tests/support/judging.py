"""What must hold of a fleet that was left in peace: everything was delivered, nothing lost, doubled or left behind.

Each function returns what is wrong, in words; an empty list is right. They look at the disks and at the API, not at
what the parts under test believe, wherever there is the choice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator

import msgpack

from edgecore.hub.client import Phase
from edgecore.pods.runtimes.base import ContainerId
from protocol.digest import Digest
from protocol.messages import InventoryEntry
from protocol.objects.conditions import find_condition
from protocol.objects.devices import DEVICE_MODELS, DEVICES, model_of
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.projections import NAMESPACE_RESOURCES, SLICE_RESOURCES, projection
from protocol.objects.references import pod_references
from protocol.objects.resources import NODES, POD_STATUS, PODS
from tests.support.fleets import CloudSite, EdgeSite, Fleet
from tests.support.simulatedusers import DEPLOYMENTS, User, state_of

REPLICA_SETS = "replicasets.apps"
TERMINAL = ("Succeeded", "Failed")

Objects = dict[ObjectKey, Body]


async def judge(fleet: Fleet, users: Iterable[User] = ()) -> list[str]:
    """Return everything that is wrong with a fleet at rest."""
    objects = stored(fleet.cloud)
    wrong = [f"defect: {defect}" for defect in fleet.defects]
    if rejected := fleet.cloud.hub.upstream.settled["rejected"]:
        wrong.append(f"the hub has rejected {rejected} reports")
    wrong += workloads(objects)
    wrong += tasks(fleet)
    for user in users:
        wrong += acknowledged(user, objects)
    for edge in fleet.edges.values():
        about = [*connected(fleet.cloud, edge), *held(fleet.cloud, edge, objects), *containers(edge, objects)]
        about += [*reported(edge, objects), *node_is_ready(edge, objects)]
        wrong += [f"{edge.node}: {each}" for each in about]
    return wrong


def stored(cloud: CloudSite) -> Objects:
    """Return all objects that are on the cloud's disk."""
    return {key: record.decode() for key, record in cloud.disk.records.items()}


def tasks(fleet: Fleet) -> Iterator[str]:
    """Yield the tasks of which there are more than can have an owner: what a life or a session left behind."""
    running = Counter(task.get_name() for task in asyncio.all_tasks())
    for name, times in running.items():
        if times > (1 if any(f"of {node}" in name for node in fleet.edges) else len(fleet.edges)):
            yield f"{times} tasks are called {name}"


# The link and what came over it.


def connected(cloud: CloudSite, edge: EdgeSite) -> Iterator[str]:
    """Yield why the edge is not in step with the hub."""
    if edge.agent.link.phase is not Phase.CONNECTED:
        yield f"is {edge.agent.link}"
    session = cloud.hub.sessions.get(edge.node)
    if session is None:
        yield "has no session"
        return
    if not session.in_sync:
        yield f"is not in step: resumed {session.resumed}, owed {len(session.link.outbox)}, {session.rejections}"
    if edge.store.digest != cloud.hub.router.digest(edge.node):
        yield "digest differs from the router's"
    session.link.check_invariants()


def held(cloud: CloudSite, edge: EdgeSite, objects: Objects) -> Iterator[str]:
    """Yield how the edge's disk differs from the projections of what it should hold."""
    wanted = slice_of(edge.node, objects)
    rows = edge.disk.objects
    for key in rows.keys() - wanted.keys():
        yield f"still holds {key}"
    for key, body in wanted.items():
        row = rows.get(key)
        if row is None:
            yield f"lacks {key}"
        elif msgpack.unpackb(row.body) != projection(key.resource, body) or row.uid != body["metadata"]["uid"]:
            yield f"holds another {key}"
        elif row.version != cloud.disk.records[key].content_revision:
            yield f"holds {key} at version {row.version}, not {cloud.disk.records[key].content_revision}"
    entries = (InventoryEntry(row.key, row.uid, row.version) for row in rows.values())
    if Digest(edge.store.incarnation, entries).value != edge.store.digest:
        yield "digest differs from what is on disk"
    for key in rows.keys() & wanted.keys():
        in_memory = edge.store.get(key)
        if in_memory is None or in_memory.body != msgpack.unpackb(rows[key].body):
            yield f"memory and disk differ on {key}"


def slice_of(node: str, objects: Objects) -> Objects:
    """Return what ``node`` should hold, worked out from the objects alone."""
    pods = {key: body for key, body in objects.items() if key.resource == PODS and _node_of(body) == node}
    devices = {key: body for key, body in objects.items() if key.resource == DEVICES and _node_of(body) == node}
    namespaces = {key.namespace for key in pods}
    needed = {reference for body in pods.values() for reference in pod_references(body)}
    needed |= {ObjectKey(DEVICE_MODELS, key.namespace, model_of(body)) for key, body in devices.items()}
    return {
        key: body
        for key, body in objects.items()
        if key in pods
        or key in devices
        or (key in needed and key.resource in SLICE_RESOURCES)
        or (key.resource in NAMESPACE_RESOURCES and key.namespace in namespaces)
        or key == ObjectKey(NODES, "", node)
    }


# Containers and what is said of them.


def containers(edge: EdgeSite, objects: Objects) -> Iterator[str]:
    """Yield how the device's containers differ from those that should run, and what was done without cause."""
    yield from edge.host.offences
    wanted: dict[tuple[Uid, str], str] = {}
    known: set[Uid] = set()
    for body in _pods_on(edge, objects):
        uid = Uid(body["metadata"]["uid"])
        known.add(uid)
        if "deletionTimestamp" in body["metadata"]:
            yield f"{uid} ({body['metadata']['name']}) is still going away"
        elif body.get("status", {}).get("phase") not in TERMINAL:
            wanted |= {(uid, one["name"]): one["image"] for one in body["spec"]["containers"]}
    running = Counter((container.pod, container.name) for container in edge.host.running())
    for one in wanted.keys() - running.keys():
        yield f"{one} does not run"
    for one in running.keys() - wanted.keys():
        yield f"{one} runs and should not"
    for container in edge.host.running():
        image = edge.host.specs[container].image
        if wanted.get((container.pod, container.name), image) != image:
            yield f"{container} runs an older image"
    for one, times in running.items():
        if times > 1:
            yield f"{one} runs {times} times"
    for uid in {container.pod for container in edge.host.states} - known:
        yield f"containers of {uid} were not removed"


def reported(edge: EdgeSite, objects: Objects) -> Iterator[str]:
    """Yield how the API's statuses differ from what the edge says, and what the device does."""
    for owed in edge.store.owed():
        yield f"still owes {owed.key}"
    reports = edge.disk.reports
    pods = {body["metadata"]["uid"]: body for body in _pods_on(edge, objects)}
    for about, kept in reports.items():
        if about.resource == POD_STATUS and kept.uid not in pods:
            yield f"keeps a report about {about}, {kept.uid}"
    for uid, body in pods.items():
        metadata, status = body["metadata"], body.get("status", {})
        row = reports.get(ObjectKey(POD_STATUS, metadata["namespace"], metadata["name"]))
        if row is None or row.uid != uid:
            yield f"never reported on {metadata['name']}, {uid}"
            continue
        said = msgpack.unpackb(row.body)["status"]
        differing = [name for name in said if name != "conditions" and said[name] != status.get(name)]
        differing += [c["type"] for c in said["conditions"] if find_condition(status.get("conditions"), c["type"]) != c]
        if differing:
            yield f"the API has other {differing} of {metadata['name']} than was reported"
        for one in status.get("containerStatuses", ()):
            instance = edge.host.states.get(ContainerId(Uid(uid), one["name"], one["restartCount"]))
            if instance is None or instance.runtime_id != one.get("containerID") or "running" not in one["state"]:
                yield f"the API says of {metadata['name']} {one}, the device has {instance}"


def node_is_ready(edge: EdgeSite, objects: Objects) -> Iterator[str]:
    """Yield what is wrong with the Node object."""
    node = objects.get(ObjectKey(NODES, "", edge.node), {})
    conditions = node.get("status", {}).get("conditions", [])
    for kind, wanted in (("Ready", "True"), ("DuplicateInstance", None)):
        condition = find_condition(conditions, kind)
        if (condition or {}).get("status") not in (wanted, "False" if wanted is None else wanted):
            yield f"condition {condition}"
    if node.get("spec", {}).get("taints"):
        yield f"taints {node['spec']['taints']}"


# What controllers and users have to do with it.


def workloads(objects: Objects) -> Iterator[str]:
    """Yield pods and ReplicaSets that nobody owns, and Deployments without the pods they ask for."""
    uids = {body["metadata"]["uid"] for body in objects.values()}
    for key, body in objects.items():
        if key.resource in (PODS, REPLICA_SETS):
            owners = body["metadata"].get("ownerReferences", [])
            if owners and not any(owner["uid"] in uids for owner in owners):
                yield f"{key} outlives its owner"
            if key.resource == REPLICA_SETS and not owners:
                yield f"{key} has no owner"
        if key.resource == PODS and "nodeName" not in body["spec"]:
            yield f"{key} is not on any node"
        if key.resource == DEPLOYMENTS:
            yield from _deployment(key, body, objects)


def _deployment(key: ObjectKey, body: Body, objects: Objects) -> Iterator[str]:
    uid, wanted = body["metadata"]["uid"], body["spec"]["replicas"]
    sets = [one for k, one in objects.items() if k.resource == REPLICA_SETS and _owner(one) == uid]
    newest = {one["metadata"]["uid"] for one in sets if one["spec"]["replicas"]}
    pods = [one for k, one in objects.items() if k.resource == PODS and _owner(one) in newest]
    if len(newest) > 1:
        yield f"{key} has {len(newest)} ReplicaSets with replicas"
    if len(pods) != wanted:
        yield f"{key} has {len(pods)} pods, not {wanted}"
    template = body["spec"]["template"]["spec"]["containers"][0].get("env")
    if any(pod["spec"]["containers"][0].get("env") != template for pod in pods):
        yield f"{key} has pods of an older template"
    available = body.get("status", {}).get("availableReplicas", 0)
    if available != wanted:
        yield f"{key} says {available} of {wanted} replicas are available"


def acknowledged(user: User, objects: Objects) -> Iterator[str]:
    """Yield the writes that were acknowledged and do not hold, and the objects that nobody made."""
    yield from user.offences
    for key, memory in user.memories.items():
        body = objects.get(key)
        state = None if body is None else state_of(body)
        if body is not None and "deletionTimestamp" in body["metadata"]:
            yield f"{key} is still going away"
        elif not memory.may_be(state):
            yield f"{key} is {state}, it may be {memory.allowed}"
        elif body is not None and key.resource == DEPLOYMENTS:
            wanted = memory.replicas[state_of(body).number]
            if body["spec"]["replicas"] not in wanted:
                yield f"{key} has replicas {body['spec']['replicas']}, not {wanted}"
    for key, body in objects.items():
        mine = key.namespace == user.namespace and key.resource in (DEPLOYMENTS, PODS)
        if mine and key not in user.memories and not body["metadata"].get("ownerReferences"):
            yield f"nobody made {key}"


def _owner(body: Body) -> str:
    return next((str(owner["uid"]) for owner in body["metadata"].get("ownerReferences", []) if owner["controller"]), "")


def _node_of(pod: Body) -> str:
    return str(pod["spec"].get("nodeName", ""))


def _pods_on(edge: EdgeSite, objects: Objects) -> list[Body]:
    return [body for key, body in objects.items() if key.resource == PODS and _node_of(body) == edge.node]
