from __future__ import annotations

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.validation.placement import check_placement, check_placement_kept
from cloudcore.apiserver.validation.pods import check_pod_template
from cloudcore.errors import Invalid
from tests.support.registries import a_pod

SLA = "edge.aiokubeedge.io/sla"
ON_FULL = "edge.aiokubeedge.io/on-full"


@pytest.mark.parametrize("tier", ["high", "medium", "low"])
@pytest.mark.parametrize("policy", ["fail", "queue", "preempt"])
def test_what_is_known_is_right(tier: str, policy: str) -> None:
    assert check_placement("metadata", {"labels": {SLA: tier}, "annotations": {ON_FULL: policy}}) == []


@pytest.mark.parametrize("value", ["gold", "High", ""])
def test_what_is_unknown_is_named_with_its_field(value: str) -> None:
    causes = check_placement("metadata", {"labels": {SLA: value}, "annotations": {ON_FULL: value}})
    assert [cause.field for cause in causes] == [f"metadata.labels[{SLA}]", f"metadata.annotations[{ON_FULL}]"]
    assert 'supported values: "high", "low", "medium"' in causes[0].message


def test_a_template_is_held_to_the_same() -> None:
    causes = check_pod_template("spec.template", {"metadata": {"labels": {SLA: "gold"}}})
    assert f"spec.template.metadata.labels[{SLA}]" in [cause.field for cause in causes]


def test_the_tier_of_a_pod_stays() -> None:
    high, other = {"labels": {SLA: "high"}}, {"labels": {"app": "web"}}
    assert check_placement_kept(high, {"labels": {SLA: "high", "app": "x"}}) == []
    assert [cause.field for cause in check_placement_kept(high, other)] == [f"metadata.labels[{SLA}]"]
    assert [cause.field for cause in check_placement_kept(other, high)] == [f"metadata.labels[{SLA}]"]


async def test_the_api_refuses_a_tier_there_is_not(client: LocalClient) -> None:
    body = a_pod()
    body["metadata"]["labels"] = {SLA: "gold"}
    with pytest.raises(Invalid) as refused:
        await client.create("pods", body)
    assert refused.value.causes[0].field == f"metadata.labels[{SLA}]"


async def test_the_api_refuses_a_change_of_tier(client: LocalClient) -> None:
    body = a_pod()
    body["metadata"]["labels"] = {SLA: "low"}
    stored = await client.create("pods", body)
    stored["metadata"]["labels"][SLA] = "high"
    with pytest.raises(Invalid, match="may not be changed"):
        await client.update("pods", stored)
