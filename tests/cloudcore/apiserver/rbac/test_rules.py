"""What rules match; the cases are those of Kubernetes' own documentation of RBAC and of its rule helpers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.rbac.rules import Rule, RuleSet, atoms, compacted, uncovered

PODS = Rule(("get", "watch", "list"), ("",), ("pods",))
LOGS = Rule(("get", "list"), ("",), ("pods", "pods/log"))
NAMED = Rule(("update", "get"), ("",), ("configmaps",), ("my-configmap",))
EVERYTHING = Rule(("*",), ("*",), ("*",))
HEALTH = Rule(("get", "post"), paths=("/healthz", "/healthz/*"))
SCALES = Rule(("update",), ("*",), ("*/scale",))


def asked(verb: str, resource: str, group: str = "", *, name: str = "") -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(verb, plural, group, "default", name, subresource)


@pytest.mark.parametrize(
    ("rule", "attributes", "allowed"),
    [
        (PODS, asked("get", "pods", name="x"), True),
        (PODS, asked("list", "pods"), True),
        (PODS, asked("delete", "pods", name="x"), False),
        (PODS, asked("get", "secrets", name="x"), False),
        (PODS, asked("get", "pods", "metrics.k8s.io"), False),
        (PODS, asked("get", "pods/log", name="x"), False),
        (LOGS, asked("get", "pods/log", name="x"), True),
        (LOGS, asked("get", "pods/exec", name="x"), False),
        (NAMED, asked("get", "configmaps", name="my-configmap"), True),
        (NAMED, asked("get", "configmaps", name="other"), False),
        (NAMED, asked("update", "configmaps"), False),
        (EVERYTHING, asked("escalate", "anything/at-all", "any.group", name="x"), True),
        (EVERYTHING, Attributes("get", "", path="/metrics"), False),
        (SCALES, asked("update", "deployments/scale", "apps", name="x"), True),
        (SCALES, asked("update", "deployments", "apps", name="x"), False),
        (SCALES, asked("update", "deployments/status", "apps", name="x"), False),
        (HEALTH, Attributes("get", "", path="/healthz"), True),
        (HEALTH, Attributes("get", "", path="/healthz/etcd"), True),
        (HEALTH, Attributes("post", "", path="/healthz"), True),
        (HEALTH, Attributes("get", "", path="/healthzz"), False),
        (HEALTH, Attributes("get", "", path="/metrics"), False),
        (HEALTH, asked("get", "pods"), False),
        (Rule(("get",), paths=("*",)), Attributes("get", "", path="/any/where"), True),
    ],
)
def test_what_a_rule_allows(rule: Rule, attributes: Attributes, allowed: bool) -> None:
    assert RuleSet([rule]).allows(attributes) is allowed


def test_a_rule_without_names_goes_beyond_one_with_names_whatever_their_order() -> None:
    wide = Rule(("get",), ("",), ("configmaps",))
    for rules in ([NAMED, wide], [wide, NAMED]):
        assert RuleSet(rules).allows(asked("get", "configmaps", name="other"))
        assert not RuleSet(rules).allows(asked("update", "configmaps", name="other"))


def test_names_of_several_rules_add_up() -> None:
    other = Rule(("get",), ("",), ("configmaps",), ("second",))
    rules = RuleSet([NAMED, other])
    assert all(rules.allows(asked("get", "configmaps", name=name)) for name in ("my-configmap", "second"))


@pytest.mark.parametrize(
    ("wanted", "held", "missing"),
    [
        (PODS, PODS, ""),
        (PODS, EVERYTHING, ""),
        (EVERYTHING, PODS, '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}'),
        (LOGS, PODS, '{APIGroups:[""], Resources:["pods/log"], Verbs:["get", "list"]}'),
        (Rule(("get",), ("",), ("pods/log",)), Rule(("get",), ("",), ("*/log",)), ""),
        (Rule(("get",), ("",), ("configmaps",)), NAMED, '{APIGroups:[""], Resources:["configmaps"], Verbs:["get"]}'),
        (NAMED, Rule(("*",), ("",), ("configmaps",)), ""),
        (Rule(("get",), paths=("/healthz/etcd",)), HEALTH, ""),
        (Rule(("get",), paths=("/*",)), HEALTH, '{NonResourceURLs:["/*"], Verbs:["get"]}'),
    ],
)
def test_what_one_rule_has_over_another(wanted: Rule, held: Rule, missing: str) -> None:
    assert "".join(str(rule) for rule in compacted(uncovered([wanted], [held]))) == missing


WORDS = st.sampled_from(["a", "b", "a/x", "*", "*/x"])
RULES = st.builds(
    Rule,
    st.lists(st.sampled_from(["get", "list", "*"]), min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(["", "g", "*"]), min_size=1, max_size=2).map(tuple),
    st.lists(WORDS, min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(["n", "m"]), max_size=2).map(tuple),
)
QUESTIONS = st.builds(
    Attributes,
    st.sampled_from(["get", "list", "watch"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "g", "h"]),
    st.just("default"),
    st.sampled_from(["", "n", "m"]),
    st.sampled_from(["", "x", "y"]),
)


@given(st.lists(RULES, max_size=3), QUESTIONS)
def test_arranged_rules_allow_what_the_rules_one_by_one_do(rules: list[Rule], question: Attributes) -> None:
    one_by_one = any(_matches(rule, question) for rule in rules)
    assert RuleSet(rules).allows(question) is one_by_one
    assert RuleSet(compacted(rules)).allows(question) is one_by_one
    assert RuleSet(atom for rule in rules for atom in atoms(rule)).allows(question) is one_by_one


@given(st.lists(RULES, max_size=2), st.lists(RULES, max_size=2), QUESTIONS)
def test_what_is_covered_allows_nothing_more(wanted: list[Rule], held: list[Rule], question: Attributes) -> None:
    if not uncovered(wanted, held) and RuleSet(wanted).allows(question):
        assert RuleSet(held).allows(question)


def _matches(rule: Rule, asked: Attributes) -> bool:
    """Say it as plainly as Kubernetes' helpers do."""
    combined = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    by_subresource = bool(asked.subresource) and f"*/{asked.subresource}" in rule.resources
    return (
        bool({"*", asked.verb} & set(rule.verbs))
        and bool({"*", asked.group} & set(rule.groups))
        and (bool({"*", combined} & set(rule.resources)) or by_subresource)
        and (not rule.names or asked.name in rule.names)
    )
