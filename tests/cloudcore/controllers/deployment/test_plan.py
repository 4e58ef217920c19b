"""Rollouts as a game: the plan, a ReplicaSet controller and pods that fail at will take turns in any order."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.controllers.deployment import model, scaling, templates
from cloudcore.controllers.deployment.actions import (
    ChangeReplicaSet,
    CreateReplicaSet,
    DeleteReplicaSet,
    RecordRevision,
)
from cloudcore.controllers.deployment.plan import Observed, plan
from protocol.objects.keys import Body
from tests.support.examples import trying


def deployment(replicas: int, surge: int | str = 1, unavailable: int | str = 0, **spec: Any) -> Body:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "1"}]}},
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


class World:
    """ReplicaSets with pods that are just ready or not; statuses lag behind until told."""

    def __init__(self, body: Body) -> None:
        self.deployment = body
        self.sets: dict[str, Body] = {}
        self.pods: dict[str, list[bool]] = {}
        self.acted: dict[str, int] = {}
        self.clock = 0

    def step(self) -> bool:
        """Plan and carry out; tell whether anything was done."""
        decided = plan(Observed(self.deployment, list(self.sets.values()), {}), float(self.clock))
        for action in decided.actions:
            self._apply(action)
        moved = bool(decided.actions) or self.deployment.get("status") != decided.status
        self.deployment = {**self.deployment, "status": decided.status}
        return moved

    def _apply(self, action: object) -> None:
        match action:
            case CreateReplicaSet(body=body):
                self.clock += 1
                name = body["metadata"]["name"]
                meta = {**body["metadata"], "uid": name, "generation": 1, "creationTimestamp": f"{self.clock:09}"}
                self.sets[name] = {**copy.deepcopy(body), "metadata": meta, "status": {}}
                self.pods[name] = []
            case ChangeReplicaSet(replicaset=replicaset, replicas=replicas, annotations=annotations):
                body = copy.deepcopy(self.sets[replicaset["metadata"]["name"]])
                body["metadata"].setdefault("annotations", {}).update(annotations)
                if replicas is not None:
                    body["spec"]["replicas"] = replicas
                    body["metadata"]["generation"] += 1
                self.sets[replicaset["metadata"]["name"]] = body
            case DeleteReplicaSet(replicaset=replicaset):
                name = replicaset["metadata"]["name"]
                assert not self.pods.pop(name)
                del self.sets[name]
            case RecordRevision(revision=revision):
                annotations = {model.REVISION: revision}
                self.deployment = {
                    **self.deployment,
                    "metadata": {**self.deployment["metadata"], "annotations": annotations},
                }

    def act(self, name: str) -> None:
        """Let one ReplicaSet controller create or delete, the not ready ones first."""
        pods, wanted = sorted(self.pods[name]), self.sets[name]["spec"]["replicas"]
        self.acted[name] = self.sets[name]["metadata"]["generation"]
        self.pods[name] = pods[len(pods) - wanted :] if len(pods) > wanted else pods + [False] * (wanted - len(pods))

    def report(self, name: str) -> None:
        """Write one ReplicaSet's status."""
        pods = self.pods[name]
        status = {"replicas": len(pods), "readyReplicas": sum(pods), "availableReplicas": sum(pods)}
        self.sets[name] = {**self.sets[name], "status": {**status, "observedGeneration": self.acted.get(name, 0)}}

    def available(self) -> int:
        return sum(sum(pods) for pods in self.pods.values())

    def wanted(self) -> int:
        return model.total_replicas(self.sets.values())

    def set_image(self, image: str) -> None:
        body = copy.deepcopy(self.deployment)
        body["spec"]["template"]["spec"]["containers"][0]["image"] = image
        body["metadata"]["generation"] += 1
        self.deployment = body

    def finish(self) -> None:
        """Let everything work well until nothing moves."""
        for _ in range(500):
            moved = self.step()
            for name in list(self.sets):
                before = (self.pods[name], self.sets[name]["status"])
                self.act(name)
                self.pods[name] = [True] * len(self.pods[name])
                self.report(name)
                moved |= before != (self.pods[name], self.sets[name]["status"])
            if not moved:
                return
        raise AssertionError("the rollout does not end")


bounds = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "50%", "100%"]))


@trying(150)
@given(st.integers(1, 9), bounds, bounds, st.integers(0, 2**32), st.integers(1, 60))
def test_a_rollout_keeps_its_bounds_whatever_happens_and_ends(
    replicas: int, surge: int | str, unavailable: int | str, seed: int, steps: int
) -> None:
    rng = Random(seed)
    world = World(deployment(replicas, surge, unavailable))
    world.finish()
    most = replicas + model.max_surge(world.deployment)
    least = replicas - model.max_unavailable(world.deployment)
    for number in range(steps):
        if rng.random() < 0.15:
            world.set_image(str(rng.randrange(4)))
        world.step()
        assert world.wanted() <= most, number
        name = rng.choice(list(world.sets))
        before = world.available()
        match rng.randrange(3):
            case 0:
                world.act(name)
                assert world.available() >= min(before, least), number
            case 1:
                world.report(name)
            case 2:  # pods never fail by themselves here: what is lost is lost by a decision
                world.pods[name] = [ready or rng.random() < 0.5 for ready in world.pods[name]]
    world.finish()
    assert model.is_complete(world.deployment, world.deployment["status"])
    assert [sum(pods) for pods in world.pods.values() if pods] == [replicas]


@trying(100)
@given(st.integers(0, 12), st.integers(0, 12), bounds, bounds, st.integers(0, 6))
def test_scaling_in_the_middle_of_a_rollout_ends_with_the_wanted_size(
    before: int, after: int, surge: int | str, unavailable: int | str, rounds: int
) -> None:
    world = World(deployment(before, surge, unavailable))
    world.finish()
    world.set_image("2")
    for _ in range(rounds):
        world.step()
        for name in list(world.sets):
            world.act(name)
            world.report(name)
    world.deployment["spec"]["replicas"] = after
    world.deployment["metadata"]["generation"] += 1
    world.step()
    world.finish()
    assert world.wanted() == after
    assert world.deployment["status"].get("updatedReplicas", 0) == after


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (3, "25%", "25%", (1, 0)),
        (1, 0, 0, (0, 1)),
        (4, 0, "10%", (0, 1)),
        (2, 5, 9, (5, 2)),
        (0, 1, 1, (1, 0)),
    ],
)
def test_percentages_round_surge_up_and_unavailable_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    body = deployment(replicas, surge, unavailable)
    assert (model.max_surge(body), model.max_unavailable(body)) == expected


def test_templates_are_the_same_but_for_hash_nulls_and_empty_metadata() -> None:
    one = {"metadata": {"labels": {"app": "web"}, "creationTimestamp": None}, "spec": {"a": [{"b": 1, "c": None}]}}
    other = {
        "metadata": {"labels": {"app": "web", "pod-template-hash": "x"}, "annotations": {}},
        "spec": {"a": [{"b": 1}]},
    }
    assert templates.same_template(one, other)
    assert templates.template_hash(one, 0) == templates.template_hash(other, 0)
    assert templates.template_hash(one, 0) != templates.template_hash(one, 1)
    assert not templates.same_template(one, {**other, "spec": {"a": []}})


def test_a_replicaset_takes_over_annotations_but_not_the_deployments_own() -> None:
    body = deployment(2)
    body["metadata"]["annotations"] = {
        "team": "a",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        model.REVISION: "7",
    }
    made = templates.new_replicaset(body, 0, 8, 2)
    assert made["metadata"]["annotations"] == {
        "team": "a",
        model.REVISION: "8",
        model.DESIRED_REPLICAS: "2",
        model.MAX_REPLICAS: "3",
    }
    assert made["spec"]["selector"]["matchLabels"].items() <= made["spec"]["template"]["metadata"]["labels"].items()


def test_a_changed_annotation_reaches_the_present_replicaset() -> None:
    world = World(deployment(1))
    world.finish()
    world.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"] = "because"
    world.finish()
    [replicaset] = world.sets.values()
    assert replicaset["metadata"]["annotations"]["kubernetes.io/change-cause"] == "because"


def test_without_a_change_of_size_nothing_is_scaled() -> None:
    world = World(deployment(3))
    world.finish()
    assert not scaling.is_scaling(world.deployment, list(world.sets.values()))


def test_a_deployment_that_is_going_only_reports() -> None:
    body = deployment(3)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan(Observed(body, [], {}), 0.0).actions == ()


def test_no_deadline_means_no_progressing_condition() -> None:
    world = World(deployment(1, progressDeadlineSeconds=None))
    world.finish()
    assert [entry["type"] for entry in world.deployment["status"]["conditions"]] == ["Available"]
