"""The keeper on virtual time: a cloud that answers, refuses, or is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import pytest

from edgecore.accounts.files import TokenFiles
from edgecore.accounts.keeper import FETCH_S, LOCAL_PREFIX, TokenKeeper
from edgecore.hub.requests import Requests
from edgecore.meta.base import Applied, Held
from edgecore.pods.sources import ReferenceMissing, TokenRequest
from protocol.messages import Item, Op, Verdict
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

pytestmark = pytest.mark.looptime

API = TokenRequest("", 3607)
POD_KEY = ObjectKey("pods", "shop", "web")
ACCOUNT_KEY = ObjectKey("serviceaccounts", "shop", "reader")


def pod(audience: str = "", uid: str = "p1") -> Body:
    token = {"path": "token", "expirationSeconds": 3607, **({"audience": audience} if audience else {})}
    volumes = [{"name": "v", "projected": {"sources": [{"serviceAccountToken": token}]}}]
    metadata = {"name": "web", "namespace": "shop", "uid": uid}
    return {"metadata": metadata, "spec": {"serviceAccountName": "reader", "volumes": volumes}}


def held(key: ObjectKey, uid: str, body: Body | None = None) -> Held:
    return Held(key, Uid(uid), Revision(1), body or {"metadata": {"name": key.name, "uid": uid}})


class Store:
    """What the device holds."""

    complete = True

    def __init__(self, *objects: Held) -> None:
        self.objects = {each.key: each for each in objects}

    def get(self, key: ObjectKey) -> Held | None:
        return self.objects.get(key)

    def list(self, resource: str) -> Sequence[Held]:
        return [each for key, each in self.objects.items() if key.resource == resource]


@dataclass
class Rig:
    """A keeper, and a cloud that numbers its tokens."""

    keeper: TokenKeeper
    store: Store
    requests: Requests
    folder: Path
    changed: list[Uid] = field(default_factory=list)
    asked: list[Item] = field(default_factory=list)
    refuses: bool = False
    silent: bool = False

    def connect(self) -> None:
        self.requests.opened(self.answer)

    def cut(self) -> None:
        self.requests.ended(self.answer)

    def answer(self, item: Item) -> None:
        self.asked.append(item)
        if self.refuses:
            self.requests.settled(item, Verdict.rejected("NotFound", "no such account"))
        elif not self.silent:
            body = {"spec": {"expirationSeconds": 3607}, "status": {"token": f"token-{len(self.asked)}"}}
            answer = Item(
                Op.COMMAND, ObjectKey("answer", "", item.id), Uid(""), Revision(0), msgpack.packb(body), item.id
            )
            asyncio.get_running_loop().call_later(0.01, self.requests.answered, answer)

    def put(self, new: Held) -> None:
        previous = self.store.objects.get(new.key)
        self.store.objects[new.key] = new
        self.keeper.applied([Applied(new.key, new, previous)])

    def drop(self, key: ObjectKey) -> None:
        self.keeper.applied([Applied(key, None, self.store.objects.pop(key))])

    def on_disk(self) -> list[str]:
        return [token.text for token in TokenFiles(self.folder).load()]


@asynccontextmanager
async def rig(folder: Path, *objects: Held, local: bool = True) -> AsyncIterator[Rig]:
    store, requests, changed = Store(*objects), Requests(), list[Uid]()
    loop = asyncio.get_running_loop()
    keeper = TokenKeeper(folder, store, requests, changed=changed.append, wall=lambda: 1.8e9 + loop.time(), local=local)
    task = loop.create_task(keeper.run())
    try:
        yield Rig(keeper, store, requests, folder, changed)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ready(made: Rig, body: Body, request: TokenRequest = API) -> str:
    await made.keeper.settled(body)
    return made.keeper.token(body, request).decode()


async def test_a_pod_gets_its_token_and_it_is_kept_for_the_next_start(tmp_path: Path) -> None:
    account = held(ACCOUNT_KEY, "a1")
    async with rig(tmp_path, account) as made:
        made.connect()
        made.put(held(POD_KEY, "p1", pod()))
        assert await ready(made, pod()) == "token-1"
        assert made.changed == ["p1"]
        await asyncio.sleep(1)
        assert made.on_disk() == ["token-1"]
        owner = made.keeper.ledger.owner_of("token-1", asyncio.get_running_loop().time())
        assert owner is not None
        assert (owner.account_uid, owner.pod_uid) == ("a1", "p1")
    async with rig(tmp_path, account, held(POD_KEY, "p1", pod())) as made:  # a reboot, the cloud is away
        assert await ready(made, pod()) == "token-1"
        assert made.asked == []


async def test_it_is_renewed_at_four_fifths_of_its_life_while_there_is_a_cloud(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1"), held(POD_KEY, "p1", pod())) as made:
        made.connect()
        assert await ready(made, pod()) == "token-1"
        await asyncio.sleep(0.8 * 3607 - 2)
        assert len(made.asked) == 1
        await asyncio.sleep(5)
        assert made.keeper.token(pod(), API) == b"token-2"
        assert made.changed == ["p1", "p1"]
        made.cut()
        await asyncio.sleep(86_400)
        assert len(made.asked) == 2
        assert made.keeper.token(pod(), API) == b"token-2"  # what is written stays, and the metaserver takes it
        assert made.keeper.ledger.owner_of("token-2", asyncio.get_running_loop().time()) is not None
        made.connect()
        await asyncio.sleep(1)
        assert made.keeper.token(pod(), API) == b"token-3"


async def test_cut_off_the_device_makes_one_itself_until_the_clouds_comes(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1")) as made:
        made.put(held(POD_KEY, "p1", pod()))
        local = await ready(made, pod())
        assert local.startswith(LOCAL_PREFIX)
        assert await ready(made, pod()) == local
        made.connect()
        await asyncio.sleep(1)
        assert made.keeper.token(pod(), API) == b"token-1"
        assert made.changed == ["p1"]


@pytest.mark.parametrize(("audience", "local"), [("vault", True), ("", False)])
async def test_what_only_the_cloud_can_make_is_waited_for_visibly(tmp_path: Path, audience: str, local: bool) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1"), local=local) as made:
        body = pod(audience)
        made.put(held(POD_KEY, "p1", body))
        with pytest.raises(ReferenceMissing, match="failed to fetch token: the cloud cannot be reached"):
            await ready(made, body, TokenRequest(audience, 3607))


async def test_a_refusal_is_told_and_asked_again_ever_more_seldom(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1")) as made:
        made.refuses = True
        made.connect()
        made.put(held(POD_KEY, "p1", pod()))
        with pytest.raises(ReferenceMissing, match="failed to fetch token: no such account"):
            await ready(made, pod())
        await asyncio.sleep(3600)
        assert 5 < len(made.asked) < 100
        made.refuses = False
        await asyncio.sleep(301)
        assert made.changed == ["p1"]


async def test_a_cloud_that_says_nothing_holds_volumes_up_for_some_seconds_only(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1")) as made:
        made.silent = True
        made.connect()
        made.put(held(POD_KEY, "p1", pod()))
        began = asyncio.get_running_loop().time()
        with pytest.raises(ReferenceMissing, match="waiting for the cloud"):
            await ready(made, pod())
        assert asyncio.get_running_loop().time() - began == pytest.approx(FETCH_S, abs=0.5)


async def test_a_pod_that_goes_takes_its_tokens_off_the_disk(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1")) as made:
        made.connect()
        made.put(held(POD_KEY, "p1", pod()))
        assert await ready(made, pod()) == "token-1"
        made.drop(POD_KEY)
        assert made.keeper.ledger.owner_of("token-1", 0.0) is None
        await asyncio.sleep(1)
        assert made.on_disk() == []


async def test_tokens_of_a_pod_that_went_while_no_agent_ran_are_swept(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1"), held(POD_KEY, "p1", pod())) as made:
        made.connect()
        await ready(made, pod())
        await asyncio.sleep(1)
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1")) as made:
        await asyncio.sleep(1)
        assert made.on_disk() == []


async def test_an_account_that_goes_empties_the_file_and_its_successor_fills_it(tmp_path: Path) -> None:
    async with rig(tmp_path, held(ACCOUNT_KEY, "a1"), held(POD_KEY, "p1", pod())) as made:
        made.connect()
        assert await ready(made, pod()) == "token-1"
        made.refuses = True
        made.drop(ACCOUNT_KEY)
        assert made.keeper.token(pod(), API) == b""
        assert made.keeper.ledger.owner_of("token-1", 0.0) is None
        assert made.changed == ["p1", "p1"]
        await asyncio.sleep(1)
        assert made.on_disk() == []
        made.refuses = False
        made.put(held(ACCOUNT_KEY, "a2"))
        await asyncio.sleep(301)
        newest = made.keeper.token(pod(), API).decode()
        assert newest.startswith("token-")
        owner = made.keeper.ledger.owner_of(newest, asyncio.get_running_loop().time())
        assert owner is not None
        assert owner.account_uid == "a2"
