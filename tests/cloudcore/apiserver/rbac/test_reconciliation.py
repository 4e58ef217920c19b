from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.rbac.defaults import DEFAULTS
from cloudcore.apiserver.rbac.reconciliation import plan, reconcile_defaults
from cloudcore.apiserver.rbac.roles import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from cloudcore.apiserver.registry import Registry
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import key_of

GET: dict[str, Any] = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
LIST: dict[str, Any] = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}


@pytest.fixture
async def registry() -> Registry:
    registry = Registry(MemoryStore())
    await bootstrap(registry)
    await reconcile_defaults(registry)
    return registry


def a_role(*rules: dict[str, Any], **annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": "r", "annotations": annotations, "labels": {}}, "rules": list(rules)}


async def test_every_default_passes_the_rules_of_its_kind_and_is_there(registry: Registry) -> None:
    client = LocalClient(registry)
    assert len({key_of(*each) for each in DEFAULTS}) == len(DEFAULTS)
    for resource, body in DEFAULTS:
        metadata = body["metadata"]
        assert await client.get(resource, metadata.get("namespace", ""), metadata["name"])


async def test_a_second_start_writes_nothing(registry: Registry) -> None:
    before = registry.store.revision
    await reconcile_defaults(registry)
    assert registry.store.revision == before


async def test_what_was_taken_away_comes_back_and_what_was_added_stays(registry: Registry) -> None:
    client = LocalClient(registry)
    added = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    binding = await client.get(CLUSTER_ROLE_BINDINGS, "", "cluster-admin")
    await client.update(CLUSTER_ROLE_BINDINGS, {**binding, "subjects": [added]})
    await client.delete(CLUSTER_ROLES, "", "view")
    await client.patch(CLUSTER_ROLES, "", "system:basic-user", {"rules": [GET]})
    await reconcile_defaults(registry)
    subjects = (await client.get(CLUSTER_ROLE_BINDINGS, "", "cluster-admin"))["subjects"]
    assert [subject["name"] for subject in subjects] == ["jane", "system:masters"]
    assert (await client.get(CLUSTER_ROLES, "", "view"))["aggregationRule"]
    rules = (await client.get(CLUSTER_ROLES, "", "system:basic-user"))["rules"]
    assert rules[0] == GET
    assert len(rules) == 4


def test_rules_that_a_wider_one_covers_are_not_added() -> None:
    assert plan(a_role({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), a_role(GET)) is None
    changed = plan(a_role(GET), a_role(GET, LIST))
    assert changed is not None
    assert changed["rules"] == [GET, LIST]


def test_an_object_that_declines_is_left_alone() -> None:
    present = a_role(**{"rbac.authorization.kubernetes.io/autoupdate": "false"})
    assert plan(present, a_role(GET)) is None
