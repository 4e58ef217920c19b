from __future__ import annotations

from cloudcore.apiserver.validation.mergerules import merge_rules


def test_rules_follow_references_and_lists() -> None:
    containers = merge_rules("io.k8s.api.core.v1.Pod").field("spec").field("containers")
    assert (containers.merge_key, containers.strategies) == ("name", frozenset({"merge"}))
    ports = containers.items.field("ports")
    assert ports.merge_key == "containerPort"


def test_two_strategies_may_stand_together() -> None:
    volumes = merge_rules("io.k8s.api.core.v1.PodSpec").field("volumes")
    assert volumes.strategies == {"merge", "retainKeys"}


def test_what_the_schema_does_not_know_has_no_rules() -> None:
    rules = merge_rules("").field("anything")
    assert (rules.merge_key, rules.strategies) == ("", frozenset())
    unknown = merge_rules("io.k8s.api.core.v1.Pod").field("nonsense").items
    assert unknown.merge_key == ""


def test_names_that_a_client_makes_up_are_not_remembered_one_by_one() -> None:
    rules = merge_rules("io.k8s.api.core.v1.Pod").field("spec")
    assert rules.field("made-up-1") is rules.field("made-up-2")
    labels = merge_rules("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").field("labels")
    assert labels.field("a") is labels.field("b")
