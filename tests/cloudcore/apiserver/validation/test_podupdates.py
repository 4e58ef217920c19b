from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation.podupdates import check_pod_update
from tests.support.registries import a_pod

TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}


def fields(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    return [cause.field for cause in check_pod_update(a_pod(**new), a_pod(**old))]


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ({"containers": [{"name": "app", "image": "nginx:2"}]}, {}),
        ({"activeDeadlineSeconds": 5}, {}),
        ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": 6}),
        ({"tolerations": [TOLERATION, {"operator": "Exists"}]}, {"tolerations": [TOLERATION]}),
        ({"tolerations": [{**TOLERATION, "tolerationSeconds": 9}]}, {"tolerations": [TOLERATION]}),
        ({"terminationGracePeriodSeconds": 1}, {"terminationGracePeriodSeconds": 30}),
    ],
)
def test_a_few_fields_may_change(new: dict[str, Any], old: dict[str, Any]) -> None:
    assert fields(new, old) == []


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ({"nodeName": "b"}, {"nodeName": "a"}, ["spec"]),
        ({"restartPolicy": "Never"}, {"restartPolicy": "Always"}, ["spec"]),
        ({"containers": [{"name": "app", "image": "nginx:alpine", "command": ["x"]}]}, {}, ["spec"]),
        ({"containers": []}, {}, ["spec.containers"]),
        ({"activeDeadlineSeconds": 7}, {"activeDeadlineSeconds": 6}, ["spec.activeDeadlineSeconds"]),
        ({}, {"activeDeadlineSeconds": 6}, ["spec.activeDeadlineSeconds"]),
        ({"tolerations": []}, {"tolerations": [TOLERATION]}, ["spec.tolerations"]),
    ],
)
def test_the_rest_may_not(new: dict[str, Any], old: dict[str, Any], expected: list[str]) -> None:
    assert fields(new, old) == expected
