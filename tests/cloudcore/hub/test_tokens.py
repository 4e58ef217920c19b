"""What tokens a node gets, and for whom it asks in vain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest

from cloudcore.errors import Forbidden, StorageUnavailable
from cloudcore.hub.upstream import PodServices, Upstream
from protocol.messages import APPLIED, LATER, Item, Op, Verdict
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from tests.support.clouds import Cloud, Recorded, cloud, settle

pytestmark = pytest.mark.looptime


@dataclass
class Desk:
    """Where nodes ask, and what was made and answered."""

    cloud: Cloud
    uid: str = ""
    made: list[tuple[str, ObjectKey, Body]] = field(default_factory=list)
    answers: list[Item] = field(default_factory=list)
    failure: Exception | None = None
    tokens: bool = True

    async def mint(self, node: NodeName, account: ObjectKey, body: Body) -> Body:
        if self.failure is not None:
            raise self.failure
        self.made.append((node, account, body))
        return {"spec": {**body["spec"], "expirationSeconds": 3607}, "status": {"token": "t"}}

    async def ask(self, node: str, spec: Any, *, account: str = "reader") -> Verdict:
        c = self.cloud
        services = PodServices(mint=self.mint if self.tokens else None)
        desk = Upstream(c.store, c.client, c.hub.router, Recorded(), services=services)
        key = ObjectKey("serviceaccounts/token", "default", account)
        item = Item(Op.COMMAND, key, Uid(""), Revision(0), msgpack.packb({"spec": spec}), "request-1")
        (verdict,) = await desk.settle(NodeName(node), [item], lambda: True, self.answers.append)
        return verdict

    def spec(self, **changed: Any) -> Body:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": self.uid}
        return {"expirationSeconds": 3607, "boundObjectRef": {**bound, **changed.pop("bound", {})}, **changed}


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        pod = await c.add_pod("p", "n1")
        await settle()
        yield Desk(c, pod["metadata"]["uid"])


async def test_a_node_gets_a_token_for_its_pod_as_the_answer_to_its_request() -> None:
    async with desk() as made:
        assert await made.ask("n1", made.spec()) == APPLIED
        assert made.made == [("n1", ObjectKey("serviceaccounts", "default", "reader"), {"spec": made.spec()})]
        (answer,) = made.answers
        assert (answer.op, answer.key.resource, answer.id) == (Op.COMMAND, "answer", "request-1")
        assert msgpack.unpackb(answer.body) == {"spec": {"expirationSeconds": 3607}, "status": {"token": "t"}}


@pytest.mark.parametrize(
    ("node", "changed", "code"),
    [
        ("n2", {}, "Forbidden"),  # another node's pod
        ("n1", {"bound": {"uid": "another"}}, "Forbidden"),
        ("n1", {"bound": {"uid": ""}}, "Forbidden"),
        ("n1", {"bound": {"name": "gone"}}, "Forbidden"),
        ("n1", {"bound": {"kind": "Node", "name": "n1"}}, "Forbidden"),
        ("n1", {"audiences": ["vault"]}, "Forbidden"),  # the pod names no such audience
        ("n1", {"audiences": "vault"}, "Invalid"),
        ("n1", {"boundObjectRef": None}, "Invalid"),
    ],
)
async def test_what_is_not_the_nodes_to_ask_for_is_refused(node: str, changed: Any, code: str) -> None:
    async with desk() as made:
        assert (await made.ask(node, made.spec(**changed))).code == code
        assert made.made == []
        assert made.answers == []


async def test_what_is_no_request_is_refused() -> None:
    async with desk() as made:
        bodies: list[Any] = [None, [], 7, "x", {"boundObjectRef": {"name": "p" * 9000}}]
        for spec in bodies:
            assert (await made.ask("n1", spec)).code in ("Invalid", "RequestEntityTooLarge")
        made.tokens = False
        assert (await made.ask("n1", made.spec())).code == "MethodNotAllowed"
        assert made.answers == []


async def test_what_the_api_refuses_is_refused_and_its_trouble_is_later() -> None:
    async with desk() as made:
        made.failure = Forbidden("no")
        assert (await made.ask("n1", made.spec())).code == "Forbidden"
        made.failure = StorageUnavailable("full")
        assert await made.ask("n1", made.spec()) == LATER
        assert made.answers == []
