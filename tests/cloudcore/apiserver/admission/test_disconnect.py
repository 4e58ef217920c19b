from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import Invalid
from tests.support.registries import a_pod

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
POLICY = "edge.aiokubeedge.io/on-disconnect"
LOST_AFTER = "edge.aiokubeedge.io/lost-after"


async def tolerated(client: LocalClient, annotations: dict[str, str], **spec: Any) -> dict[str, int | None]:
    """Return what the created pod tolerates: taint key → seconds, None for ever."""
    body = a_pod(**spec)
    body["metadata"]["annotations"] = annotations
    stored = await client.create("pods", body)
    return {each.get("key", ""): each.get("tolerationSeconds") for each in stored["spec"]["tolerations"]}


async def test_a_pod_is_kept_for_ever_by_default(client: LocalClient) -> None:
    assert await tolerated(client, {}) == {NOT_READY: None, UNREACHABLE: None}


@pytest.mark.parametrize(
    ("annotations", "seconds"),
    [
        ({POLICY: "keep"}, None),
        ({POLICY: "keep", LOST_AFTER: "5m"}, None),
        ({POLICY: "replace"}, 300),
        ({POLICY: "replace", LOST_AFTER: "5m"}, 300),
        ({POLICY: "replace", LOST_AFTER: "1h1m1s"}, 3661),
        ({POLICY: "reconcile", LOST_AFTER: "90"}, 90),
        ({POLICY: "replace", LOST_AFTER: "0s"}, 0),
    ],
)
async def test_the_policy_becomes_tolerations(
    client: LocalClient, annotations: dict[str, str], seconds: int | None
) -> None:
    assert await tolerated(client, annotations) == {NOT_READY: seconds, UNREACHABLE: seconds}


async def test_a_toleration_of_the_pod_itself_stands(client: LocalClient) -> None:
    own = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 7}
    assert await tolerated(client, {POLICY: "replace"}, tolerations=[own]) == {UNREACHABLE: 7, NOT_READY: 300}


async def test_a_pod_that_tolerates_everything_gets_nothing_more(client: LocalClient) -> None:
    assert await tolerated(client, {POLICY: "replace"}, tolerations=[{"operator": "Exists"}]) == {"": None}


async def test_a_toleration_of_scheduling_says_nothing_of_eviction(client: LocalClient) -> None:
    own = {"key": NOT_READY, "operator": "Exists", "effect": "NoSchedule"}
    body = a_pod(tolerations=[own])
    stored = await client.create("pods", body)
    assert len(stored["spec"]["tolerations"]) == 3


@pytest.mark.parametrize(
    ("annotations", "named"),
    [
        ({POLICY: "forget"}, POLICY),
        ({POLICY: ""}, POLICY),
        ({POLICY: "replace", LOST_AFTER: "soon"}, LOST_AFTER),
        ({POLICY: "replace", LOST_AFTER: "-5m"}, LOST_AFTER),
        ({POLICY: "replace", LOST_AFTER: ""}, LOST_AFTER),
    ],
)
async def test_a_wrong_policy_names_its_annotation(
    client: LocalClient, annotations: dict[str, str], named: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await tolerated(client, annotations)
    assert caught.value.causes[0].field == f"metadata.annotations[{named}]"
