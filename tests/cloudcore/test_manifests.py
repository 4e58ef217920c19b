from __future__ import annotations

from cloudcore.manifests import manifests
from protocol.objects.projections import SLICE_RESOURCES


def test_everything_that_nodes_are_given_can_be_followed_and_what_the_scheduler_looks_at() -> None:
    (role,) = (body for body in manifests() if body["kind"] == "ClusterRole")
    watchable = {
        f"{plural}.{group}" if group else plural
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
        if {"get", "list", "watch"} <= set(rule["verbs"])
    }
    assert watchable == SLICE_RESOURCES | {"storageclasses.storage.k8s.io"}


def test_nobody_is_given_everything() -> None:
    rules = [rule for body in manifests() for rule in body.get("rules", ())]
    assert not any("*" in part for rule in rules for part in (rule["verbs"], rule["resources"], rule["apiGroups"]))


def test_secrets_are_written_in_the_own_namespace_only() -> None:
    writers = [
        body["metadata"].get("namespace")
        for body in manifests()
        for rule in body.get("rules", ())
        if "secrets" in rule["resources"] and {"create", "update", "delete"} & set(rule["verbs"])
    ]
    assert writers == ["aiokubeedge-system"]
