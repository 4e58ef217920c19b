from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgecore.accounts.ledger import Owner, digest_of
from edgecore.meta.base import Held
from edgecore.metaserver.access import ADMINISTRATOR, Access, PodIdentity
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import ACCOUNT_RULES

OWNER = Owner("shop", "reader", Uid("a1"), "web", Uid("p1"))
ME = PodIdentity("shop", "reader", "web", Uid("p1"))
POD, ACCOUNT = ObjectKey("pods", "shop", "web"), ObjectKey("serviceaccounts", "shop", "reader")
RULES = ObjectKey(ACCOUNT_RULES, "shop", "reader")


class Tokens:
    """Knows one token."""

    def owner_of(self, text: str, now: float) -> Owner | None:
        return OWNER if text == "good" else None


class Store:
    """What the device holds."""

    complete = True

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, Held] = {}
        self.put(POD, "p1")
        self.put(ACCOUNT, "a1")

    def put(self, key: ObjectKey, uid: str, version: int = 1, **body: object) -> None:
        self.objects[key] = Held(key, Uid(uid), Revision(version), {"metadata": {"name": key.name}, **body})

    def get(self, key: ObjectKey) -> Held | None:
        return self.objects.get(key)

    def list(self, resource: str) -> Sequence[Held]:
        return [each for key, each in self.objects.items() if key.resource == resource]


def rule(group: str, resource: str, *verbs: str, names: Sequence[str] = ()) -> Body:
    body: Body = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**body, "resourceNames": list(names)} if names else body


def test_a_token_is_its_pods() -> None:
    access = Access(Tokens(), Store())
    assert access.who("good", 0.0) == ME
    assert access.who("bad", 0.0) is None
    assert access.who("", 0.0) is None
    assert ME.username == "system:serviceaccount:shop:reader"
    assert ME.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")


@pytest.mark.parametrize(("key", "uid"), [(POD, "p2"), (POD, ""), (ACCOUNT, "a2"), (ACCOUNT, "")])
def test_a_token_whose_pod_or_account_is_gone_or_another_is_nobodys(key: ObjectKey, uid: str) -> None:
    store = Store()
    if uid:
        store.put(key, uid)
    else:
        del store.objects[key]
    assert Access(Tokens(), store).who("good", 0.0) is None


def test_without_rules_nothing_is_allowed() -> None:
    assert not Access(Tokens(), Store()).may(ME, "get", "configmaps", "shop", "a")


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "name", "subresource", "allowed"),
    [
        ("get", "configmaps", "shop", "a", "", True),
        ("delete", "configmaps", "shop", "a", "", False),
        ("get", "configmaps", "other", "a", "", False),
        ("list", "configmaps", "", "", "", False),
        ("get", "secrets", "shop", "mine", "", True),
        ("get", "secrets", "shop", "yours", "", False),
        ("list", "secrets", "shop", "", "", False),
        ("list", "endpointslices.discovery.k8s.io", "", "", "", True),
        ("list", "endpointslices.discovery.k8s.io", "shop", "", "", True),
        ("list", "endpointslices", "", "", "", False),
        ("get", "pods", "shop", "web", "", False),
        ("get", "pods", "shop", "web", "log", True),
    ],
)
def test_rules_count_in_their_namespace_or_everywhere(
    verb: str, resource: str, namespace: str, name: str, subresource: str, allowed: bool
) -> None:
    store = Store()
    here = [
        rule("", "configmaps", "get", "list"),
        rule("", "secrets", "get", names=["mine"]),
        rule("", "pods/log", "get"),
    ]
    store.put(
        RULES,
        "r",
        rules=[rule("discovery.k8s.io", "endpointslices", "list")],
        namespaces=[{"namespace": "shop", "rules": here}],
    )
    assert Access(Tokens(), store).may(ME, verb, resource, namespace, name, subresource=subresource) is allowed


def test_rules_that_change_and_go_count_at_once() -> None:
    store = Store()
    access = Access(Tokens(), store)
    store.put(RULES, "r", 1, rules=[rule("", "secrets", "get")])
    assert access.may(ME, "get", "secrets", "shop", "s")
    store.put(RULES, "r", 2, rules=[rule("", "configmaps", "get")])
    assert not access.may(ME, "get", "secrets", "shop", "s")
    del store.objects[RULES]
    assert not access.may(ME, "get", "configmaps", "shop", "c")


def test_the_administrator_reads_everything_and_writes_nothing() -> None:
    access = Access(Tokens(), Store(), lambda: digest_of("root"))
    who = access.who("root", 0.0)
    assert who is not None
    assert who.username == ADMINISTRATOR
    assert access.may(who, "list", "secrets", "shop")
    assert not access.may(who, "delete", "pods", "shop", "web")
    assert Access(Tokens(), Store()).who("root", 0.0) is None
