"""The router against a naive recomputation of every slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack
import orjson
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.hub.router import Delivery, Router
from cloudcore.store.base import Change, ChangeType, Record, encode
from protocol.digest import Digest
from protocol.messages import InventoryEntry, Op
from protocol.objects.devices import DEVICE_MODELS, DEVICES
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.objects.projections import NAMESPACE_RESOURCES, SLICE_RESOURCES
from protocol.objects.references import pod_references
from tests.support.examples import trying

NODES = [NodeName(name) for name in ("n1", "n2", "n3")]
NAMESPACES = ("a", "b")
INCARNATION = "inc"


def pod(
    name: str,
    node: str | None,
    *,
    namespace: str = "a",
    config_map: str = "",
    priority: str = "",
    label: str = "",
    claim: str = "",
) -> Body:
    spec: Body = {"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": config_map}}]}]}
    if node:
        spec["nodeName"] = node
    if priority:
        spec["priorityClassName"] = priority
    if claim:
        spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"l": label}}, "spec": spec}


def claim(name: str, volume: str = "", *, namespace: str = "a") -> Body:
    spec = {"volumeName": volume} if volume else {}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


@dataclass
class Model:
    """A store in miniature, and what each attached node has been sent."""

    router: Router = field(default_factory=lambda: Router(INCARNATION))
    objects: dict[ObjectKey, Record] = field(default_factory=dict)
    revision: int = 0
    uids: int = 0
    held: dict[NodeName, dict[ObjectKey, InventoryEntry]] = field(default_factory=dict)

    def put(self, resource: str, body: Body, *, status_only: bool = False) -> list[Delivery]:
        self.revision += 1
        metadata = body["metadata"]
        key = ObjectKey(resource, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(key)
        if before is None:
            self.uids += 1
        uid = before.uid if before else Uid(f"u{self.uids}")
        content = before.content_revision if before and status_only else Revision(self.revision)
        stored = {**body, "metadata": {**metadata, "uid": uid}}
        record = Record(key, uid, Revision(self.revision), content, encode(stored))
        self.objects[key] = record
        kind = ChangeType.MODIFIED if before else ChangeType.ADDED
        return self._deliver(self.router.observe(Change(kind, record, before)))

    def delete(self, key: ObjectKey) -> list[Delivery]:
        before = self.objects.pop(key, None)
        if before is None:
            return []
        self.revision += 1
        last = Record(key, before.uid, Revision(self.revision), before.content_revision, before.tail)
        return self._deliver(self.router.observe(Change(ChangeType.DELETED, last, before)))

    def attach(self, node: NodeName) -> None:
        if node not in self.held:
            self.router.attach(node)
            self.held[node] = {entry.key: entry for entry in self.router.slice_of(node)}

    def detach(self, node: NodeName) -> None:
        self.router.detach(node)
        self.held.pop(node, None)

    def relist(self, changes: list[tuple[str, Body | ObjectKey]]) -> None:
        """Let changes happen unseen, then hand the router whole lists."""
        seen, self.router = self.router, Router("blind")
        attached, self.held = self.held, {}
        for resource, what in changes:
            if isinstance(what, ObjectKey):
                self.delete(what)
            else:
                self.put(resource, what)
        self.router, self.held = seen, attached
        for resource in SLICE_RESOURCES:
            records = [record for key, record in self.objects.items() if key.resource == resource]
            self._deliver(self.router.replace(resource, records, Revision(self.revision)))

    def _deliver(self, deliveries: list[Delivery]) -> list[Delivery]:
        for delivery in deliveries:
            item = delivery.item
            for node in delivery.nodes:
                held = self.held[node]
                if item.op is Op.PUT:
                    held[item.key] = InventoryEntry(item.key, item.uid, item.version)
                elif item.key in held and held[item.key].uid == item.uid:
                    del held[item.key]
        return deliveries

    def naive_slice(self, node: NodeName) -> dict[ObjectKey, InventoryEntry]:
        wanted = {ObjectKey("nodes", "", node)}
        for key, record in self.objects.items():
            body = orjson.loads(record.json)
            if key.resource == "pods" and body["spec"].get("nodeName") == node:
                named = pod_references(body)
                claims = [orjson.loads(self.objects[one].json) for one in named if one in self.objects]
                volumes = (claim.get("spec", {}).get("volumeName", "") for claim in claims)
                wanted |= {key, *named, *(ObjectKey("persistentvolumes", "", name) for name in volumes if name)}
                wanted |= {
                    other
                    for other in self.objects
                    if other.resource in NAMESPACE_RESOURCES and other.namespace == key.namespace
                }
            if key.resource == DEVICES and body["spec"].get("nodeName") == node:
                wanted |= {key, ObjectKey(DEVICE_MODELS, key.namespace, body["spec"]["deviceModelRef"]["name"])}
        return {
            key: InventoryEntry(key, self.objects[key].uid, self.objects[key].content_revision)
            for key in wanted
            if key in self.objects
        }

    def check(self) -> None:
        self.router.check_invariants()
        for node in NODES:
            expected = self.naive_slice(node)
            assert {entry.key: entry for entry in self.router.slice_of(node)} == expected
            assert self.router.digest(node) == Digest(INCARNATION, expected.values()).value
            assert all(self.router.contains(node, key) for key in expected)
            outside = [key for key in self.objects if key not in expected]
            assert not any(self.router.contains(node, key) for key in outside)
            if node in self.held:
                assert self.held[node] == expected


POD_NAMES = st.sampled_from(["p1", "p2", "p3"])
NAMESPACE = st.sampled_from(NAMESPACES)
CONFIG_MAPS = st.sampled_from(["", "c1", "c2"])
PODS = st.builds(
    lambda name, node, namespace, config_map, priority, label, claim: (
        "pods",
        pod(name, node, namespace=namespace, config_map=config_map, priority=priority, label=label, claim=claim),
    ),
    POD_NAMES,
    st.sampled_from([None, *NODES]),
    NAMESPACE,
    CONFIG_MAPS,
    st.sampled_from(["", "high"]),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from(["", "d1", "d2"]),
)
OTHERS = st.one_of(
    st.builds(
        lambda n, ns: ("configmaps", {"metadata": {"name": n, "namespace": ns}}), CONFIG_MAPS.filter(bool), NAMESPACE
    ),
    st.builds(
        lambda n, ns: ("services", {"metadata": {"name": n, "namespace": ns}}), st.sampled_from(["s1", "s2"]), NAMESPACE
    ),
    st.builds(lambda n: ("nodes", {"metadata": {"name": n}, "spec": {}}), st.sampled_from(NODES)),
    st.builds(
        lambda name, ns, volume: ("persistentvolumeclaims", claim(name, volume, namespace=ns)),
        st.sampled_from(["d1", "d2"]),
        NAMESPACE,
        st.sampled_from(["", "v1", "v2"]),
    ),
    st.builds(lambda n: ("persistentvolumes", {"metadata": {"name": n}}), st.sampled_from(["v1", "v2"])),
    st.builds(
        lambda name, ns, node, model: (
            DEVICES,
            {
                "metadata": {"name": name, "namespace": ns},
                "spec": {"nodeName": node, "deviceModelRef": {"name": model}},
            },
        ),
        POD_NAMES,
        NAMESPACE,
        st.sampled_from(["", *NODES]),
        st.sampled_from(["m1", "m2"]),
    ),
    st.builds(
        lambda name, ns: (DEVICE_MODELS, {"metadata": {"name": name, "namespace": ns}}),
        st.sampled_from(["m1", "m2"]),
        NAMESPACE,
    ),
    st.just(("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}})),
)
BODIES = st.one_of(PODS, PODS, OTHERS)
DELETES = BODIES.map(
    lambda pair: (
        pair[0],
        ObjectKey(pair[0], pair[1]["metadata"].get("namespace", ""), pair[1]["metadata"]["name"]),
    )
)
STEPS = st.one_of(
    st.tuples(st.just("put"), BODIES),
    st.tuples(st.just("put"), BODIES),
    st.tuples(st.just("status"), BODIES),
    st.tuples(st.just("delete"), DELETES),
    st.tuples(st.just("attach"), st.sampled_from(NODES)),
    st.tuples(st.just("detach"), st.sampled_from(NODES)),
    st.tuples(st.just("relist"), st.lists(st.one_of(BODIES, DELETES), max_size=4)),
)


@trying(150)
@given(st.lists(STEPS, max_size=30))
def test_slices_digests_and_deliveries_agree_with_a_recomputation(steps: list[tuple[str, Any]]) -> None:
    model = Model()
    for verb, what in steps:
        if verb == "put":
            model.put(*what)
        elif verb == "status":
            key = ObjectKey(what[0], what[1]["metadata"].get("namespace", ""), what[1]["metadata"]["name"])
            if key in model.objects:
                model.put(what[0], model.objects[key].decode(), status_only=True)
        elif verb == "delete":
            model.delete(what[1])
        elif verb == "relist":
            model.relist(what)
        else:
            getattr(model, verb)(what)
        model.check()


def bound(model: Model) -> None:
    model.attach(NODES[0])
    model.put("configmaps", {"metadata": {"name": "c1", "namespace": "a"}, "data": {"k": "v"}})
    model.put("pods", pod("p1", "n1", config_map="c1"))


def test_a_status_report_is_not_sent_back_down() -> None:
    model = Model()
    bound(model)
    body = {**pod("p1", "n1", config_map="c1"), "status": {"phase": "Running"}}
    assert model.put("pods", body, status_only=True) == []


def test_a_pods_needs_go_before_it_and_leave_after_it() -> None:
    model = Model()
    model.attach(NODES[0])
    model.put("configmaps", {"metadata": {"name": "c1", "namespace": "a"}})
    arriving = model.put("pods", pod("p1", "n1", config_map="c1"))
    assert [(d.item.op, d.item.key.resource) for d in arriving] == [(Op.PUT, "configmaps"), (Op.PUT, "pods")]
    leaving = model.delete(ObjectKey("pods", "a", "p1"))
    assert [(d.item.op, d.item.key.resource) for d in leaving] == [(Op.DELETE, "pods"), (Op.DELETE, "configmaps")]


def test_a_device_brings_its_model_and_nothing_of_its_namespace() -> None:
    model = Model()
    model.attach(NODES[0])
    model.put("services", {"metadata": {"name": "s1", "namespace": "a"}})
    model.put(DEVICE_MODELS, {"metadata": {"name": "m1", "namespace": "a"}})
    device: Body = {
        "metadata": {"name": "d", "namespace": "a"},
        "spec": {"nodeName": "n1", "deviceModelRef": {"name": "m1"}},
    }
    arriving = model.put(DEVICES, device)
    assert [d.item.key.resource for d in arriving] == [DEVICE_MODELS, DEVICES]
    device["spec"]["nodeName"] = "n2"
    leaving = model.put(DEVICES, device)
    assert [(d.item.op, d.item.key.resource) for d in leaving] == [(Op.DELETE, DEVICES), (Op.DELETE, DEVICE_MODELS)]


def test_one_encoding_serves_every_node() -> None:
    model = Model()
    for node in NODES:
        model.attach(node)
        model.put("pods", pod(f"p-{node}", node, config_map="c1"))
    (delivery,) = model.put("configmaps", {"metadata": {"name": "c1", "namespace": "a"}, "data": {"k": "v"}})
    assert set(delivery.nodes) == set(NODES)
    assert msgpack.unpackb(delivery.item.body)["data"] == {"k": "v"}
    assert model.router.item(delivery.item.key) is delivery.item


def test_nothing_is_encoded_for_nodes_that_are_away() -> None:
    model = Model()
    model.put("pods", pod("p1", "n1"))
    assert model.router._encoded == {}


def test_a_terminal_pod_stays_until_it_is_deleted() -> None:
    model = Model()
    bound(model)
    model.put("pods", {**pod("p1", "n1", config_map="c1"), "status": {"phase": "Succeeded"}}, status_only=True)
    assert model.router.contains(NODES[0], ObjectKey("pods", "a", "p1"))


def test_what_is_never_on_a_node_is_passed_over() -> None:
    model = Model()
    key = ObjectKey("deployments.apps", "a", "d")
    record = Record(key, Uid("u"), Revision(1), Revision(1), encode({"metadata": {"name": "d"}}))
    assert model.router.observe(Change(ChangeType.ADDED, record)) == []
    assert not model.router.contains(NODES[0], key)
    assert model.router.record(key) is None


def test_a_claims_volume_follows_it_to_the_nodes_of_its_pods() -> None:
    model = Model()
    model.attach(NODES[0])
    model.put("persistentvolumes", {"metadata": {"name": "v1"}})
    model.put("persistentvolumeclaims", claim("d1"))
    model.put("pods", pod("p1", "n1", claim="d1"))
    volume = ObjectKey("persistentvolumes", "", "v1")
    assert not model.router.contains(NODES[0], volume)
    binding = model.put("persistentvolumeclaims", claim("d1", "v1"))
    assert [(d.item.op, d.item.key.resource) for d in binding] == [
        (Op.PUT, "persistentvolumeclaims"),
        (Op.PUT, "persistentvolumes"),
    ]
    model.check()
    going = model.delete(ObjectKey("pods", "a", "p1"))
    assert (Op.DELETE, volume) in [(d.item.op, d.item.key) for d in going]
