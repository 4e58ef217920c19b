from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.rbac.roles import CLUSTER_ROLES
from cloudcore.controllers.clusterroles import plan
from protocol.objects.keys import Body
from tests.support.controllers import cloud

GATHERS = {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}, {"matchLabels": {"to": "all"}}]}


def rule(resource: str) -> Body:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


def role(name: str, *resources: str, to: str = "", **more: Any) -> Body:
    labels = {"to": to} if to else {}
    return {"metadata": {"name": name, "labels": labels}, "rules": [rule(each) for each in resources], **more}


def test_it_gathers_each_rule_once_in_the_order_of_names() -> None:
    view = role("view", "old", aggregationRule=GATHERS, to="all")
    others = [role("b", "pods", to="view"), role("a", "pods", "nodes", to="all"), role("c", "secrets", to="edit")]
    assert plan(view, [view, *others]) == [rule("pods"), rule("nodes")]
    settled = role("view", "pods", "nodes", aggregationRule=GATHERS)
    assert plan(settled, [settled, *others]) is None


@pytest.mark.looptime
async def test_roles_that_come_change_and_go_are_followed_through_every_stage() -> None:
    async with cloud() as made:
        inner = {"clusterRoleSelectors": [{"matchLabels": {"to": "inner"}}]}
        await made.client.create(CLUSTER_ROLES, role("inner", aggregationRule=inner, to="view"))
        await made.client.create(CLUSTER_ROLES, role("view", aggregationRule=GATHERS))
        await made.client.create(CLUSTER_ROLES, role("part", "pods", to="inner"))

        async def gathered() -> list[str]:
            await made.settle()
            rules = (await made.client.get(CLUSTER_ROLES, "", "view")).get("rules") or []
            return [each["resources"][0] for each in rules]

        assert await gathered() == ["pods"]
        await made.client.patch(CLUSTER_ROLES, "", "part", {"rules": [rule("nodes")]})
        assert await gathered() == ["nodes"]
        await made.client.patch(CLUSTER_ROLES, "", "view", {"rules": [rule("secrets")]})
        assert await gathered() == ["nodes"]
        await made.client.delete(CLUSTER_ROLES, "", "part")
        assert await gathered() == []
