"""Who is let in: as a decision, and as what an edge sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloudcore.hub.admittance import MAX_EPOCH, Live, judge
from cloudcore.security.identity import Identity
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatEncoder, Load
from protocol.messages import Hello
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, NodeName
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID
from tests.support.clouds import Holding, cloud, settle

IDENTITY = Identity(NodeName("n1"), "cert-1")
HELLO = Hello(NodeName("n1"), "instance-1", epoch=5)
NODE: Body = {"metadata": {"name": "n1", "annotations": {INSTANCE_ID: "instance-1", CERTIFICATE: "cert-1"}}}


def pinned(**annotations: str) -> Body:
    return {"metadata": {"name": "n1", "annotations": annotations}}


CASES: list[tuple[str, Hello, Body | None, Live | None, CloseCode | None]] = [
    ("the node itself", HELLO, NODE, None, None),
    ("a reconnect of a live session", HELLO, NODE, Live("instance-1", 5, True), None),
    ("a reconnect whose welcome was lost", HELLO, NODE, Live("instance-1", 6, False), None),
    ("a copy of its data", HELLO, NODE, Live("instance-1", 6, True), CloseCode.OTHER_INSTANCE),
    ("another instance", replace(HELLO, instance="x"), NODE, None, CloseCode.OTHER_INSTANCE),
    ("another node's name", replace(HELLO, node=NodeName("n2")), NODE, None, CloseCode.UNAUTHORIZED),
    ("a deleted node", HELLO, None, None, CloseCode.UNKNOWN_NODE),
    ("a node that never joined", HELLO, {"metadata": {"name": "n1"}}, None, CloseCode.REVOKED),
    (
        "a superseded certificate",
        HELLO,
        pinned(**{INSTANCE_ID: "instance-2", CERTIFICATE: "cert-2"}),
        None,
        CloseCode.REVOKED,
    ),
    ("an epoch beyond the wire", replace(HELLO, epoch=MAX_EPOCH), NODE, None, CloseCode.STALE_EPOCH),
    ("an epoch below zero", replace(HELLO, epoch=-1), NODE, None, CloseCode.STALE_EPOCH),
]


@pytest.mark.parametrize(
    ("hello", "node", "live", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_judge(hello: Hello, node: Body | None, live: Live | None, code: CloseCode | None) -> None:
    refusal = judge(IDENTITY, hello, node, live)
    assert (refusal.code if refusal else None) == code
    assert refusal is None or "\n" not in refusal.reason


async def refusal_of(c: Any, holding: Holding, *, identity: Identity | None = None) -> int:
    edge = await c.connect(holding, identity=identity)
    assert edge.closed is not None
    assert edge.welcome is None
    code: int = edge.closed.code
    return code


@pytest.mark.looptime
async def test_a_second_instance_is_refused_and_shown_on_the_node() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        original = await c.connect(Holding("n1"))
        assert await refusal_of(c, Holding("n1", instance="a clone")) == CloseCode.OTHER_INSTANCE
        await settle()
        assert original.closed is None
        conditions = (await c.client.get("nodes", "", "n1"))["status"]["conditions"]
        condition = find_condition(conditions, "DuplicateInstance")
        assert condition is not None
        assert condition["status"] == "True"
        assert "a clone" in condition["message"]
        assert "DuplicateInstance" in c.recorder.reasons()


@pytest.mark.looptime
async def test_a_copied_data_folder_is_refused_while_the_original_lives_and_the_condition_ends() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        first = await c.connect(holding)
        await settle()
        copy = Holding("n1", epoch=holding.epoch, incarnation=holding.incarnation)
        first.near.cut()
        await settle()
        second = await c.connect(holding)
        second.heartbeat()
        await settle()
        assert await refusal_of(c, copy) == CloseCode.OTHER_INSTANCE
        assert second.closed is None
        second.near.cut()
        await settle()
        await c.connect(holding)
        await settle()
        conditions = (await c.client.get("nodes", "", "n1"))["status"]["conditions"]
        condition = find_condition(conditions, "DuplicateInstance")
        assert condition is not None
        assert condition["status"] == "False"


@pytest.mark.looptime
async def test_a_node_that_crashed_while_its_disk_was_full_is_not_taken_for_a_copy() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        before = await c.connect(holding)
        stored = holding.epoch
        before.near.cut()
        full = await c.connect(holding)
        full.heartbeat(HeartbeatEncoder().encode(Load(unsaved=1)))
        await settle()
        holding.epoch = stored  # the agent is killed: its disk has the older epoch, its session looks alive
        again = await c.connect(holding)
        assert again.closed is None
        assert full.closed is not None


@pytest.mark.looptime
async def test_a_certificate_of_another_node_is_refused() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        other = Identity(NodeName("n2"), "cert-1")
        assert await refusal_of(c, Holding("n1"), identity=other) == CloseCode.UNAUTHORIZED
        assert c.hub.counters["refused"] == 1


@pytest.mark.looptime
async def test_joining_again_ends_the_earlier_session_and_refuses_its_certificate() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        await c.client.patch("nodes", "", "n1", {"metadata": {"annotations": {CERTIFICATE: "cert-2"}}})
        await settle(until=lambda: edge.closed)
        assert edge.closed is not None
        assert edge.closed.code == CloseCode.REVOKED
        assert await refusal_of(c, Holding("n1")) == CloseCode.REVOKED
        again = await c.connect(Holding("n1", certificate="cert-2"))
        assert again.welcome is not None


@pytest.mark.looptime
async def test_a_deleted_node_is_sent_away_and_refused() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        await c.client.delete("nodes", "", "n1")
        await settle(until=lambda: edge.closed)
        assert edge.closed is not None
        assert edge.closed.code == CloseCode.UNKNOWN_NODE
        assert await refusal_of(c, Holding("n1")) == CloseCode.UNKNOWN_NODE


@pytest.mark.looptime
async def test_epochs_grow_and_never_fall_behind_the_edges() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1", epoch=1_000_000)
        edge = await c.connect(holding)
        assert edge.link.epoch == 1_000_001
        again = await c.connect(holding)
        assert again.link.epoch > 1_000_001
