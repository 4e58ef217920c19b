from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.defaults.workloads import default_deployment, default_replicaset
from cloudcore.apiserver.validation.workloads import check_deployment, check_replicaset, check_selector_kept
from tests.support.registries import a_deployment


def wrong(**spec: Any) -> list[str]:
    body = a_deployment(**spec)
    default_deployment(body)
    return [cause.field for cause in check_deployment(body)]


def test_a_good_deployment() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}}
    assert wrong(strategy=rolling, replicas=0, minReadySeconds=5) == []
    assert wrong(strategy={"type": "Recreate"}) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": -1}, ["spec.replicas"]),
        ({"revisionHistoryLimit": -1}, ["spec.revisionHistoryLimit"]),
        ({"minReadySeconds": 600}, ["spec.progressDeadlineSeconds"]),
        ({"selector": {}}, ["spec.selector"]),
        ({"selector": {"matchLabels": {"app": "other"}}}, ["spec.template.metadata.labels"]),
        ({"selector": {"matchLabels": {"a b": "c d"}}}, ["spec.selector.matchLabels", "spec.selector.matchLabels"]),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}},
            ["spec.selector.matchExpressions[0].operator"],
        ),
        ({"strategy": {"type": "BlueGreen"}}, ["spec.strategy.type"]),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, ["spec.strategy.rollingUpdate"]),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            ["spec.strategy.rollingUpdate.maxUnavailable"],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "some", "maxUnavailable": "150%"}}},
            ["spec.strategy.rollingUpdate.maxUnavailable", "spec.strategy.rollingUpdate.maxSurge"],
        ),
        ({"strategy": {"rollingUpdate": {"maxSurge": -1}}}, ["spec.strategy.rollingUpdate.maxSurge"]),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], expected: list[str]) -> None:
    assert wrong(**spec) == expected


@pytest.mark.parametrize(
    ("pod", "field"),
    [
        ({"restartPolicy": "Never"}, "spec.template.spec.restartPolicy"),
        ({"activeDeadlineSeconds": 5}, "spec.template.spec.activeDeadlineSeconds"),
        ({"containers": []}, "spec.template.spec.containers"),
    ],
)
def test_the_template_is_checked(pod: dict[str, Any], field: str) -> None:
    template = a_deployment()["spec"]["template"]
    template["spec"] |= pod
    assert wrong(template=template) == [field]


def test_a_replicasets_selector_must_match_its_template() -> None:
    body = a_deployment(selector={"matchLabels": {"app": "x"}})
    default_replicaset(body)
    assert [cause.field for cause in check_replicaset(body)] == ["spec.template.metadata.labels"]


def test_a_selector_is_immutable() -> None:
    old, new = a_deployment(), a_deployment(selector={"matchLabels": {"app": "web", "x": "y"}})
    assert check_selector_kept(old, old) == []
    (cause,) = check_selector_kept(new, old)
    assert (cause.field, cause.message.endswith("field is immutable")) == ("spec.selector", True)
