from __future__ import annotations

from typing import Any

import msgpack
import pytest

from edgecore.accounts.ledger import Owner, Want, digest_of
from edgecore.accounts.wants import BadAnswer, question, token_of, wants_of
from protocol.objects.keys import Body, ObjectKey, Uid

OWNER = Owner("shop", "reader", Uid("a1"), "web", Uid("p1"))


def pod(*tokens: Body) -> Body:
    sources = [{"serviceAccountToken": token} for token in tokens]
    volumes = [{"name": "v", "projected": {"sources": [*sources, {"configMap": {"name": "c"}}]}}, {"name": "w"}]
    metadata = {"name": "web", "namespace": "shop", "uid": "p1"}
    return {"metadata": metadata, "spec": {"serviceAccountName": "reader", "volumes": volumes}}


def test_each_token_is_wanted_once() -> None:
    body = pod({"path": "a"}, {"path": "b"}, {"path": "c", "audience": "vault", "expirationSeconds": 600})
    assert list(wants_of(body, Uid("a1"))) == [Want(OWNER, "", 3600), Want(OWNER, "vault", 600)]
    assert list(wants_of({"metadata": {"name": "x", "uid": "u"}, "spec": {}}, Uid(""))) == []


def test_the_question_is_a_token_request_bound_to_the_pod() -> None:
    key, body = question(Want(OWNER, "vault", 600))
    assert key == ObjectKey("serviceaccounts/token", "shop", "reader")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "p1"}
    assert msgpack.unpackb(body) == {
        "spec": {"expirationSeconds": 600, "boundObjectRef": bound, "audiences": ["vault"]}
    }


def test_the_answer_holds_a_token_and_the_life_it_was_given() -> None:
    answer = msgpack.packb({"spec": {"expirationSeconds": 900}, "status": {"token": "t"}})
    token = token_of(Want(OWNER, "", 3607), answer, 5.0)
    assert (token.text, token.digest, token.life_s, token.came_at, token.local) == (
        "t",
        digest_of("t"),
        900.0,
        5.0,
        False,
    )


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        1,
        {"status": {"token": "t"}},
        {"spec": {"expirationSeconds": 0}, "status": {"token": "t"}},
        {"spec": {"expirationSeconds": 9}, "status": {"token": ""}},
        {"spec": {"expirationSeconds": 9}, "status": {"token": 1}},
    ],
)
def test_what_holds_no_token_is_said_to(answer: Any) -> None:
    with pytest.raises(BadAnswer):
        token_of(Want(OWNER, "", 3607), msgpack.packb(answer), 5.0)
    with pytest.raises(BadAnswer):
        token_of(Want(OWNER, "", 3607), b"\xc1", 5.0)
