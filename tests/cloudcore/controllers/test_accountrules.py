from __future__ import annotations

import pytest

from cloudcore.apiserver.rbac.rules import Rule
from cloudcore.controllers.accountrules import Write, plan, wanted
from cloudcore.errors import NotFound
from protocol.objects.keys import Body
from protocol.objects.resources import ACCOUNT_RULES
from tests.support.controllers import cloud

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = {"metadata": {"name": "reader", "namespace": "default", "uid": "u1"}}
READ = Rule(("get",), ("",), ("configmaps",))


def test_rules_are_put_together_and_those_for_paths_left_out() -> None:
    scopes = {"": [Rule(("get",), paths=("/healthz",)), READ, Rule(("list",), ("",), ("configmaps",))], "shop": [READ]}
    body = wanted(ACCOUNT, scopes)
    assert body["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}]
    assert body["namespaces"] == [{"namespace": "shop", "rules": [READ.body]}]
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_the_order_of_bindings_does_not_matter() -> None:
    other = Rule(("list",), ("",), ("pods",))
    assert wanted(ACCOUNT, {"": [READ, other]}) == wanted(ACCOUNT, {"": [other, READ]})


def test_what_is_right_is_left_alone_and_what_nobody_uses_goes() -> None:
    right = wanted(ACCOUNT, {"": [READ]})
    assert plan(ACCOUNT, {"": [READ]}, None) == Write("create", right)
    assert plan(ACCOUNT, {"": [READ]}, right) is None
    assert plan(None, {}, None) is None
    assert plan(None, {}, right) == Write("delete", right)
    update = plan(ACCOUNT, {}, right)
    assert update is not None
    assert (update.verb, update.body["rules"]) == ("update", [])


@pytest.mark.looptime
async def test_they_follow_bindings_for_as_long_as_a_pod_on_a_node_runs_as_the_account() -> None:
    async with cloud() as made:
        metadata = {"name": "reader", "namespace": "default"}
        await made.client.create("serviceaccounts", {"metadata": metadata})
        role = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
        await made.client.create(f"roles.{RBAC}", {"metadata": metadata, "rules": role})

        async def rules() -> Body | None:
            await made.settle()
            try:
                return await made.client.get(ACCOUNT_RULES, "default", "reader")
            except NotFound:
                return None

        assert await rules() is None
        containers = [{"name": "c", "image": "i"}]
        spec = {"serviceAccountName": "reader", "nodeName": "n1", "containers": containers}
        await made.client.create("pods", {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        found = await rules()
        assert found is not None
        assert found["namespaces"] == []
        reference = {"apiGroup": RBAC, "kind": "Role", "name": "reader"}
        subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}]
        binding = {"metadata": metadata, "roleRef": reference, "subjects": subjects}
        await made.client.create(f"rolebindings.{RBAC}", binding)
        found = await rules()
        assert found is not None
        assert found["namespaces"] == [{"namespace": "default", "rules": role}]
        await made.client.patch(ACCOUNT_RULES, "default", "reader", {"rules": [{"verbs": ["*"]}], "namespaces": []})
        found = await rules()
        assert found is not None
        assert found["namespaces"] == [{"namespace": "default", "rules": role}]
        await made.client.delete("pods", "default", "p", grace_s=0)
        assert await rules() is None
