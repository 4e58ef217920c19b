from __future__ import annotations

import pytest

from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.http.authz import Attributes, Decision
from cloudcore.apiserver.http.podrequests import WRITTEN, PodRequests
from cloudcore.apiserver.podrequest import PodRequest
from cloudcore.apiserver.registry import Registry
from protocol.objects.keys import Body, ObjectKey
from tests.support.registries import make_registry

KEY = ObjectKey("configmaps", "default", "a")
MANY = "/api/v1/namespaces/default/configmaps"
ONE = f"{MANY}/a"
MERGE = "application/merge-patch+json"


class Authorizer:
    """Allows everything but what it is told to refuse, and notes whom it was asked about."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.users: list[User] = []

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        self.users.append(user)
        return Decision(attributes.verb not in self.refused)


@pytest.fixture
def registry() -> Registry:
    return make_registry()


@pytest.fixture
def authorizer() -> Authorizer:
    return Authorizer()


def request(verb: str, path: str = ONE, body: object = None, *, id_: str = "r1", **changes: object) -> PodRequest:
    return PodRequest(id_, "default", "app", "web", "pod-uid", verb, path, body=body, **changes)  # type: ignore[arg-type]


def config(**data: str) -> Body:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": data}


async def data_of(registry: Registry) -> object:
    return (await registry.store.get(KEY)).decode()["data"]


async def test_a_pod_is_judged_as_its_service_account(registry: Registry, authorizer: Authorizer) -> None:
    answer = await PodRequests(registry, authorizer).perform(request("create", MANY, config(v="1")))
    assert answer["code"] == 201
    assert authorizer.users[0].name == "system:serviceaccount:default:app"
    assert set(authorizer.users[0].groups) == {
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    }


@pytest.mark.parametrize("verb", ["get", "list", "create", "update", "patch", "delete"])
async def test_what_the_account_may_not_is_refused_with_the_apis_own_words(
    registry: Registry, authorizer: Authorizer, verb: str
) -> None:
    authorizer.refused = {verb}
    answer = await PodRequests(registry, authorizer).perform(
        request(verb, MANY if verb in {"create", "list"} else ONE, config())
    )
    assert (answer["code"], answer["body"]["reason"]) == (403, "Forbidden")


async def test_a_repeat_does_nothing_twice_even_where_answers_were_forgotten(
    registry: Registry, authorizer: Authorizer
) -> None:
    await PodRequests(registry, authorizer).perform(request("create", MANY, config(v="1"), id_="c"))
    append = [{"op": "add", "path": "/data/w", "value": "1"}, {"op": "remove", "path": "/data/v"}]
    patch = request("patch", ONE, append, id_="p", content_type="application/json-patch+json")
    first = await PodRequests(registry, authorizer).perform(patch)
    again = await PodRequests(registry, authorizer).perform(patch)
    assert (first["code"], again["code"], first["version"]) == (200, 200, again["version"])
    assert await data_of(registry) == {"w": "1"}
    created = await PodRequests(registry, authorizer).perform(request("create", MANY, config(v="1"), id_="x"))
    assert created["body"]["reason"] == "AlreadyExists"


async def test_the_repeat_of_a_creation_is_told_of_what_it_made(registry: Registry, authorizer: Authorizer) -> None:
    create = request("create", MANY, config(v="1"), id_="c")
    first = await PodRequests(registry, authorizer).perform(create)
    again = await PodRequests(registry, authorizer).perform(create)
    assert (first["code"], again["code"]) == (201, 201)
    assert again["body"]["metadata"]["annotations"][WRITTEN] == "c"


async def test_a_version_must_be_the_one_that_was_seen(registry: Registry, authorizer: Authorizer) -> None:
    requests = PodRequests(registry, authorizer)
    seen = (await requests.perform(request("create", MANY, config(v="1"), id_="1")))["version"]
    await requests.perform(request("patch", ONE, {"data": {"v": "2"}}, id_="2", content_type=MERGE))
    late = await requests.perform(request("update", ONE, config(v="3"), id_="3", version=seen))
    assert late["body"]["reason"] == "Conflict"
    assert await data_of(registry) == {"v": "2"}
    free = await requests.perform(request("update", ONE, config(v="4"), id_="4"))
    assert free["code"] == 200
    assert await data_of(registry) == {"v": "4"}


async def test_a_deletion_takes_only_the_object_that_was_seen(registry: Registry, authorizer: Authorizer) -> None:
    requests = PodRequests(registry, authorizer)
    uid = (await requests.perform(request("create", MANY, config(), id_="1")))["body"]["metadata"]["uid"]
    other = await requests.perform(request("delete", ONE, {}, id_="2", object_uid="another"))
    assert other["body"]["reason"] == "Conflict"
    gone = await requests.perform(request("delete", ONE, {}, id_="3", object_uid=uid))
    assert gone["code"] == 200


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("create", MANY, []),
        ("create", MANY, {"metadata": 5}),
        ("update", ONE, None),
        ("patch", ONE, "x"),
        ("exec", ONE, {}),
        ("create", f"{ONE}/binding", {}),
        ("get", "/nothing", None),
        ("get", "/api/v1/configmaps/a", None),
        ("create", MANY, b"\x00"),
    ],
)
async def test_nonsense_is_an_answer_and_changes_nothing(
    registry: Registry, authorizer: Authorizer, verb: str, path: str, body: object
) -> None:
    answer = await PodRequests(registry, authorizer).perform(request(verb, path, body, content_type=MERGE))
    assert 400 <= answer["code"] < 500
    assert (await registry.store.list("configmaps")).records in ([], ())
