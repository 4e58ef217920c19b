"""What nodes may report, and how each report is settled."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from cloudcore.apiserver.podrequest import PodRequest
from cloudcore.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    GatewayTimeout,
    NotFound,
    StorageUnavailable,
    Unauthorized,
)
from cloudcore.hub import upstream
from cloudcore.security.ratelimit import RateLimit
from protocol.messages import Item, Op, Verdict
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from tests.support.clouds import Cloud, cloud, settle

pytestmark = pytest.mark.looptime

N1 = NodeName("n1")


def report(resource: str, name: str, body: Any, *, uid: str = "", namespace: str = "default", op: Op = Op.PUT) -> Item:
    packed = body if isinstance(body, bytes) else msgpack.packb(body)
    return Item(
        op, ObjectKey(resource, namespace, name), Uid(uid), Revision(0), packed, name if op is Op.COMMAND else ""
    )


def event(name: str, involved: Body, *, namespace: str = "default") -> Item:
    body = {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": "Started",
        "message": "m",
        "type": "Normal",
        "source": {"component": "edgecore"},
    }
    return report("events", name, body, namespace=namespace, op=Op.COMMAND)


def nested(depth: int) -> Body:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return {"status": {"conditions": [], "x": value}}


async def settle_one(c: Cloud, item: Item) -> Verdict:
    (verdict,) = await c.hub.upstream.settle(N1, [item], lambda: True)
    return verdict


async def uid_of(c: Cloud, name: str) -> str:
    return str((await c.client.get("pods", "default", name))["metadata"]["uid"])


async def test_a_nodes_status_is_stored_and_others_conditions_stay() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        body = await c.client.get("nodes", "", "n1")
        body["status"] = {"conditions": [{"type": "DuplicateInstance", "status": "True"}]}
        await c.client.update("nodes", body, subresource="status")
        ready = {"type": "Ready", "status": "True"}
        item = report("nodes/status", "n1", {"status": {"conditions": [ready]}}, namespace="")
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        conditions = (await c.client.get("nodes", "", "n1"))["status"]["conditions"]
        assert find_condition(conditions, "Ready") == ready
        assert find_condition(conditions, "DuplicateInstance") is not None


async def test_the_same_status_again_writes_nothing() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        item = report("pods/status", "p", {"status": {"phase": "Running"}}, uid=pod["metadata"]["uid"])
        await settle_one(c, item)
        revision = c.store.revision
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        assert c.store.revision == revision


async def test_a_pod_that_has_stopped_is_removed() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        await c.client.delete("pods", "default", "p", grace_s=30)
        item = report("pods", "p", b"", uid=pod["metadata"]["uid"], op=Op.DELETE)
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        with pytest.raises(NotFound):
            await c.client.get("pods", "default", "p")
        assert (await settle_one(c, item)).outcome.name == "APPLIED"


async def test_an_older_pods_end_does_not_touch_the_one_of_the_same_name() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_pod("p", "n1")
        item = report("pods", "p", b"", uid="an older one", op=Op.DELETE)
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        late = report("pods/status", "p", {"status": {"phase": "Failed"}}, uid="an older one")
        assert (await settle_one(c, late)).outcome.name == "APPLIED"
        assert (await c.client.get("pods", "default", "p"))["status"].get("phase") != "Failed"


FORBIDDEN: list[tuple[str, Item, str]] = [
    ("another node's status", report("nodes/status", "n2", {"status": {}}, namespace=""), "Forbidden"),
    ("a secret", report("secrets", "s", {"data": {}}), "Forbidden"),
    ("a node object", report("nodes", "n1", {"metadata": {}}, namespace=""), "Forbidden"),
    ("a pod object", report("pods", "p", {"spec": {}}), "Forbidden"),
    ("a command that is none", report("configmaps", "p", {}, op=Op.COMMAND), "Forbidden"),
    ("no status", report("nodes/status", "n1", {"spec": {}}, namespace=""), "Invalid"),
    ("a status of the wrong type", report("nodes/status", "n1", {"status": 1}, namespace=""), "Invalid"),
    (
        "conditions of the wrong type",
        report("nodes/status", "n1", {"status": {"conditions": [1]}}, namespace=""),
        "Invalid",
    ),
    (
        "a condition without a status",
        report("nodes/status", "n1", {"status": {"conditions": [{"type": "Ready"}]}}, namespace=""),
        "Invalid",
    ),
    (
        "a condition whose type is a list",
        report("nodes/status", "n1", {"status": {"conditions": [{"type": [1], "status": "True"}]}}, namespace=""),
        "Invalid",
    ),
    ("nested too deep", report("nodes/status", "n1", nested(251), namespace=""), "Invalid"),
    ("an event of megabytes", event("e", {"kind": "Node", "name": "n1", "x": "x" * 9000}), "RequestEntityTooLarge"),
    ("rubbish", report("nodes/status", "n1", b"\xc1", namespace=""), "Invalid"),
    ("bytes inside", report("nodes/status", "n1", {"status": {"a": b"\x00"}}, namespace=""), "Invalid"),
    ("a list", report("nodes/status", "n1", [], namespace=""), "Invalid"),
    ("too much", report("nodes/status", "n1", {"status": {"a": "x" * 600_000}}, namespace=""), "RequestEntityTooLarge"),
    ("an event about another node", event("e", {"kind": "Node", "name": "n2"}), "Forbidden"),
    ("an event about a secret", event("e", {"kind": "Secret", "name": "s"}), "Forbidden"),
    ("an event about another's pod", event("e", {"kind": "Pod", "name": "other", "namespace": "default"}), "Forbidden"),
    (
        "an event under another name",
        report("events", "e", {"metadata": {"name": "f"}, "involvedObject": {}}, op=Op.COMMAND),
        "Invalid",
    ),
    ("an event of nothing", report("events", "e", {}, op=Op.COMMAND), "Invalid"),
]


@pytest.mark.parametrize(("item", "code"), [case[1:] for case in FORBIDDEN], ids=[case[0] for case in FORBIDDEN])
async def test_what_a_node_may_not_write_is_rejected_and_shown(item: Item, code: str) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        await c.add_pod("other", "n2")
        await c.hub.ready.wait()
        verdict = await settle_one(c, item)
        assert (verdict.outcome.name, verdict.code) == ("REJECTED", code)
        assert c.recorder.reasons() == ["ReportRejected"]


async def test_conditions_that_are_reported_no_longer_do_not_add_up_without_bound() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        outcomes = []
        for number in range(4):
            condition = {"type": f"C{number}", "status": "True", "message": "m" * 400_000}
            item = report("nodes/status", "n1", {"status": {"conditions": [condition]}}, namespace="")
            outcomes.append((await settle_one(c, item)).code)
        assert outcomes == ["", "", "RequestEntityTooLarge", "RequestEntityTooLarge"]


async def test_a_flood_of_events_is_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "EVENTS_OF_A_NODE", RateLimit(per_s=1.0, burst=2.0))
    async with cloud() as c:
        await c.add_node("n1")
        outcomes = [
            (await settle_one(c, event(f"e{number}", {"kind": "Node", "name": "n1"}))).outcome.name
            for number in range(4)
        ]
        assert outcomes == ["APPLIED", "APPLIED", "LATER", "LATER"]


async def test_a_flood_of_reports_is_told_to_come_later_and_costs_other_nodes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "REPORTS_OF_A_NODE", RateLimit(per_s=1.0, burst=2.0))
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        status: Body = {"status": {"conditions": []}}
        own = [report("nodes/status", "n1", status, namespace="") for _ in range(4)]
        assert [(await settle_one(c, item)).outcome.name for item in own] == ["APPLIED", "APPLIED", "LATER", "LATER"]
        (verdict,) = await c.hub.upstream.settle(
            NodeName("n2"), [report("nodes/status", "n2", status, namespace="")], lambda: True
        )
        assert verdict.outcome.name == "APPLIED"


async def test_a_flood_of_rejections_is_neither_logged_nor_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "COMPLAINTS_ABOUT_A_NODE", RateLimit(per_s=1.0, burst=2.0))
    async with cloud() as c:
        await c.add_node("n1")
        await c.hub.ready.wait()
        for _ in range(5):
            assert (await settle_one(c, report("secrets", "s", {}))).code == "Forbidden"
        assert c.recorder.reasons() == ["ReportRejected"] * 2


async def test_the_status_of_another_nodes_pod_is_rejected() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        pod = await c.add_pod("other", "n2")
        item = report("pods/status", "other", {"status": {"phase": "Failed"}}, uid=pod["metadata"]["uid"])
        assert (await settle_one(c, item)).code == "Forbidden"
        assert (await c.client.get("pods", "default", "other"))["status"].get("phase") != "Failed"


async def test_a_pod_that_nobody_deleted_is_not_removed() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        item = report("pods", "p", b"", uid=pod["metadata"]["uid"], op=Op.DELETE)
        assert (await settle_one(c, item)).code == "Forbidden"
        assert await uid_of(c, "p") == pod["metadata"]["uid"]


async def test_an_event_is_stored_once_with_the_node_as_its_source() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        involved = {"kind": "Pod", "name": "p", "namespace": "default", "uid": pod["metadata"]["uid"]}
        item = event("p.1", involved)
        await _routed(c, "p")
        for _ in range(2):
            assert (await settle_one(c, item)).outcome.name == "APPLIED"
        (stored,) = await c.client.list("events", "default")
        assert stored["source"] == {"component": "edgecore", "host": "n1"}


async def test_an_event_about_a_pod_that_is_gone_is_settled() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        item = event("p.1", {"kind": "Pod", "name": "gone", "namespace": "default"})
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        assert await c.client.list("events", "default") == []


async def test_an_event_about_a_pod_whose_name_another_has_by_now_is_settled() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        await c.add_pod("p", "n2")
        await _routed(c, "p")
        item = event("p.1", {"kind": "Pod", "name": "p", "namespace": "default", "uid": "an older one"})
        assert (await settle_one(c, item)).outcome.name == "APPLIED"
        assert await c.client.list("events", "default") == []


class Failing:
    """A client whose writes fail in a given way, a given number of times."""

    def __init__(self, client: Any, error: Exception, times: int) -> None:
        self._client = client
        self._error = error
        self.times = times

    def __getattr__(self, name: str) -> Any:
        if name in {"update", "create", "delete"} and self.times > 0:
            self.times -= 1
            return self._fail
        return getattr(self._client, name)

    async def _fail(self, *args: object, **options: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "times", "outcome"),
    [
        (Conflict("overtaken"), 3, "APPLIED"),
        (Conflict("overtaken"), 100, "LATER"),
        (StorageUnavailable("disk full"), 1, "LATER"),
        (GatewayTimeout("etcd is slow"), 1, "LATER"),
        (Unauthorized("the token has run out"), 1, "LATER"),
        (Forbidden("a role was taken away"), 1, "LATER"),
        (AlreadyExists("odd"), 1, "REJECTED"),
    ],
)
async def test_errors_of_the_store_become_verdicts(error: Exception, times: int, outcome: str) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        c.hub.upstream._client = Failing(c.client, error, times)
        item = report("pods/status", "p", {"status": {"phase": "Running"}}, uid=pod["metadata"]["uid"])
        assert (await settle_one(c, item)).outcome.name == outcome


async def test_one_batch_keeps_the_order_per_object_and_answers_each_item() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pods = [await c.add_pod(f"p{index}", "n1") for index in range(5)]
        items = [
            report("pods/status", f"p{index}", {"status": {"phase": phase}}, uid=pods[index]["metadata"]["uid"])
            for phase in ("Pending", "Running", "Succeeded")
            for index in range(5)
        ]
        items.insert(3, report("secrets", "s", {}))
        verdicts = await c.hub.upstream.settle(N1, items, lambda: True)
        assert [verdict.outcome.name for verdict in verdicts] == ["APPLIED"] * 3 + ["REJECTED"] + ["APPLIED"] * 12
        phases = {pod["status"]["phase"] for pod in await c.client.list("pods", "default")}
        assert phases == {"Succeeded"}


async def _routed(c: Cloud, pod: str) -> None:
    await settle(until=lambda: c.hub.router.node_of(ObjectKey("pods", "default", pod)) is not None)


def mirror(name: str, uid: str = "hash-1", *, node: str = "n1", **spec: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": {"kubernetes.io/config.mirror": uid}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], **spec},
    }


def asked(body: Body) -> Item:
    item = report("pods", body["metadata"]["name"], body, op=Op.COMMAND)
    return item._replace(id="ask-1")


async def test_a_mirror_is_made_once_and_answered_with_its_uid() -> None:
    async with cloud() as c:
        node = await c.add_node("n1")
        answers: list[Item] = []
        for _ in range(2):
            (verdict,) = await c.hub.upstream.settle(N1, [asked(mirror("web-n1"))], lambda: True, answers.append)
            assert verdict.outcome.name == "APPLIED"
        pod = await c.client.get("pods", "default", "web-n1")
        (owner,) = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", "n1", node["metadata"]["uid"])
        assert "serviceAccountName" not in pod["spec"]
        assert [msgpack.unpackb(answer.body) for answer in answers] == [{"uid": pod["metadata"]["uid"]}] * 2
        assert {answer.id for answer in answers} == {"ask-1"}


async def test_a_mirror_of_another_version_takes_the_place_of_the_first() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await settle_one(c, asked(mirror("web-n1")))
        before = await uid_of(c, "web-n1")
        assert (await settle_one(c, asked(mirror("web-n1", "hash-2")))).outcome.name == "APPLIED"
        pod = await c.client.get("pods", "default", "web-n1")
        assert pod["metadata"]["uid"] != before
        assert pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] == "hash-2"


async def test_a_mirrors_status_names_the_static_pod_and_its_end_needs_no_deletion() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await settle_one(c, asked(mirror("web-n1")))
        await settle()
        running = report("pods/status", "web-n1", {"status": {"phase": "Running"}}, uid="hash-1")
        assert (await settle_one(c, running)).outcome.name == "APPLIED"
        pod = await c.client.get("pods", "default", "web-n1")
        assert pod["status"]["phase"] == "Running"
        other = report("pods/status", "web-n1", {"status": {"phase": "Failed"}}, uid="hash-0")
        await settle_one(c, other)
        assert (await c.client.get("pods", "default", "web-n1"))["status"]["phase"] == "Running"
        ended = report("pods", "web-n1", b"", uid=pod["metadata"]["uid"], op=Op.DELETE)
        assert (await settle_one(c, ended)).outcome.name == "APPLIED"
        with pytest.raises(NotFound):
            await c.client.get("pods", "default", "web-n1")


MIRRORS_REFUSED: list[tuple[str, Body, str]] = [
    ("another node's", mirror("web", node="n2"), "Forbidden"),
    ("no mirror", mirror("web", ""), "Forbidden"),
    ("with an account", mirror("web", serviceAccountName="default"), "Forbidden"),
    ("with a secret", mirror("web", volumes=[{"name": "s", "secret": {"secretName": "s"}}]), "Forbidden"),
    ("with a map", mirror("web", volumes=[{"name": "s", "configMap": {"name": "s"}}]), "Forbidden"),
    ("with no containers", mirror("web", containers=[]), "Invalid"),
    ("without a spec", {**mirror("web"), "spec": None}, "Invalid"),
]


@pytest.mark.parametrize(
    ("body", "code"), [entry[1:] for entry in MIRRORS_REFUSED], ids=[e[0] for e in MIRRORS_REFUSED]
)
async def test_a_mirror_that_a_node_may_not_have_is_refused(body: Body, code: str) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        verdict = await settle_one(c, asked(body))
        assert (verdict.outcome.name, verdict.code) == ("REJECTED", code)
        assert not await c.client.list("pods", "default")


async def test_a_mirror_does_not_take_another_pods_name() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("web-n1", "n1")
        verdict = await settle_one(c, asked(mirror("web-n1")))
        assert (verdict.outcome.name, verdict.code) == ("REJECTED", "AlreadyExists")
        assert await uid_of(c, "web-n1") == pod["metadata"]["uid"]


def asked_by(uid: str, *, account: str = "default", pod: str = "web", **changes: Any) -> Item:
    author = {"namespace": "default", "account": account, "pod": pod, "uid": uid}
    body = {"author": author, "verb": "get", "path": "/api/v1/namespaces/default/configmaps/a", "query": {}}
    return report("pods/request", "web", {**body, "version": 0, **changes}, op=Op.COMMAND)


async def test_only_a_pod_of_the_node_asks_and_only_as_its_own_account() -> None:
    performed: list[PodRequest] = []

    async def perform(request: PodRequest) -> Body:
        performed.append(request)
        return {"code": 200, "body": {}, "version": 0}

    async with cloud() as c:
        c.hub.upstream._perform = perform
        await c.add_node("n1")
        await c.add_node("n2")
        await c.add_pod("web", "n1")
        await c.add_pod("other", "n2")
        await settle()
        uid = await uid_of(c, "web")
        other = await uid_of(c, "other")
        stolen = asked_by(other, pod="other")._replace(key=ObjectKey("pods/request", "default", "other"))
        for item in (asked_by("another"), asked_by(uid, account="admin"), stolen):
            assert (await settle_one(c, item)).code == "Forbidden"
        for item in (
            asked_by(uid, pod="other"),
            asked_by(uid, verb=5),
            asked_by(uid, query=[]),
            asked_by(uid, version="1"),
            asked_by(uid, author=None),
        ):
            assert (await settle_one(c, item)).code == "Invalid"
        assert performed == []
        assert (await settle_one(c, asked_by(uid))).outcome.name == "APPLIED"
        assert [(each.account, each.pod) for each in performed] == [("default", "web")]


async def test_a_cloud_that_passes_nothing_on_says_so() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_pod("web", "n1")
        await settle()
        assert (await settle_one(c, asked_by(await uid_of(c, "web")))).code == "MethodNotAllowed"
