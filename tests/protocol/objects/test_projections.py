"""What of an object a node is given."""

from __future__ import annotations

import copy

import pytest

from protocol.objects.projections import SLICE_RESOURCES, projection
from protocol.objects.wellknown import LAST_APPLIED

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u1",
        "resourceVersion": "7",
        "generation": 2,
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {LAST_APPLIED: "{}", "team": "a"},
        "labels": {"app": "web"},
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 30,
        "unknown": "survives",
    },
    "spec": {"nodeName": "n", "containers": []},
    "status": {"phase": "Running"},
    "extra": {"unknown": True},
}


def test_what_changes_without_the_desired_state_is_left_out() -> None:
    projected = projection("pods", POD)
    assert "status" not in projected
    assert projected["metadata"].keys().isdisjoint({"managedFields", "resourceVersion"})
    assert projected["metadata"]["annotations"] == {"team": "a"}


def test_all_else_survives() -> None:
    projected = projection("pods", POD)
    assert projected["spec"] == POD["spec"]
    assert projected["extra"] == {"unknown": True}
    assert projected["metadata"]["unknown"] == "survives"
    assert projected["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert projected["metadata"]["deletionGracePeriodSeconds"] == 30


def test_the_object_itself_is_not_changed() -> None:
    before = copy.deepcopy(POD)
    projection("pods", POD)
    assert before == POD


def test_annotations_that_held_nothing_else_are_left_out() -> None:
    body = {"metadata": {"name": "cm", "annotations": {LAST_APPLIED: "{}"}}, "data": {"a": "1"}}
    assert projection("configmaps", body) == {"metadata": {"name": "cm"}, "data": {"a": "1"}}


def test_a_resource_that_no_node_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"deployments\.apps is in no node's slice"):
        projection("deployments.apps", {"metadata": {"name": "a"}})


def test_events_and_leases_are_never_on_nodes() -> None:
    assert SLICE_RESOURCES.isdisjoint({"events", "leases.coordination.k8s.io", "namespaces"})
