from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from edgecore.hub import requests as module
from edgecore.hub.requests import NotReached, RequestRefused, Requests
from protocol.errors import OutboxFull
from protocol.messages import APPLIED, Item, Op, Verdict
from protocol.objects.keys import ObjectKey, Revision, Uid

pytestmark = pytest.mark.looptime

KEY = ObjectKey("serviceaccounts/token", "shop", "reader")


def answer(item: Item, body: bytes) -> Item:
    return Item(Op.COMMAND, ObjectKey("answer", "", item.id), Uid(""), Revision(0), body, item.id)


def soon(call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(call)


async def test_the_answer_comes_back_to_who_asked_whatever_the_order_of_verdict_and_answer() -> None:
    requests = Requests()
    sent: list[Item] = []

    def send(item: Item) -> None:
        sent.append(item)
        soon(lambda: requests.settled(item, APPLIED))
        soon(lambda: requests.answered(answer(item, item.body * 2)))

    requests.opened(send)
    answers = await asyncio.gather(requests.ask(KEY, b"a"), requests.ask(KEY, b"b"))
    assert list(answers) == [b"aa", b"bb"]
    assert len({item.id for item in sent}) == 2
    assert all(item.op is Op.COMMAND and item.key == KEY for item in sent)


async def test_a_rejection_is_the_answer() -> None:
    requests = Requests()
    requests.opened(lambda item: soon(lambda: requests.settled(item, Verdict.rejected("Forbidden", "not yours"))))
    with pytest.raises(RequestRefused, match="not yours") as refusal:
        await requests.ask(KEY, b"")
    assert refusal.value.code == "Forbidden"


async def test_without_a_session_or_an_answer_the_cloud_is_not_reached() -> None:
    requests = Requests()
    with pytest.raises(NotReached, match="cannot be reached"):
        await requests.ask(KEY, b"")
    requests.opened(lambda _: None)
    with pytest.raises(NotReached, match="did not answer within 7 s"):
        await requests.ask(KEY, b"", timeout_s=7)


async def test_a_session_that_ends_ends_what_it_carried_and_an_older_ones_end_does_not() -> None:
    requests, told = Requests(), list[bool]()
    requests.on_change(told.append)

    def older(_: Item) -> None: ...

    def newer(_: Item) -> None: ...

    requests.opened(older)
    requests.opened(newer)
    asking = asyncio.ensure_future(requests.ask(KEY, b""))
    await asyncio.sleep(0)
    requests.ended(older)
    await asyncio.sleep(1)
    assert not asking.done()
    requests.ended(newer)
    with pytest.raises(NotReached, match="connection to the cloud was lost"):
        await asking
    assert not requests.connected
    assert told == [True, True, False]


async def test_a_full_outbox_and_too_many_at_once_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Requests()

    def full(_: Item) -> None:
        raise OutboxFull("full")

    requests.opened(full)
    with pytest.raises(NotReached, match="too much waits"):
        await requests.ask(KEY, b"")
    requests.opened(lambda _: None)
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    first = asyncio.ensure_future(requests.ask(KEY, b"", timeout_s=5))
    await asyncio.sleep(0)
    with pytest.raises(NotReached, match="too many"):
        await requests.ask(KEY, b"")
    with pytest.raises(NotReached):
        await first


async def test_answers_that_nobody_waits_for_are_passed_over() -> None:
    requests = Requests()
    stray = Item(Op.COMMAND, KEY, Uid(""), Revision(0), b"", "stray")
    requests.answered(stray)
    requests.settled(stray, Verdict.rejected("X", "y"))
