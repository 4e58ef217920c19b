from __future__ import annotations

import pytest

from cloudcore.apiserver.kinds import KindTable, builtin_kinds
from cloudcore.errors import NotFound

KINDS = builtin_kinds()


def test_a_kind_is_found_by_resource_path_and_kind() -> None:
    deployment = KINDS.of("deployments.apps")
    assert KINDS.at("apps", "v1", "deployments") is deployment
    assert KINDS.for_kind("apps/v1", "Deployment") is deployment
    assert "deployments.apps" in KINDS
    assert "deployments" not in KINDS


def test_what_is_not_served_is_not_found() -> None:
    with pytest.raises(NotFound, match="could not find the requested resource"):
        KINDS.of("widgets")
    with pytest.raises(NotFound):
        KINDS.at("apps", "v1beta1", "deployments")
    assert KINDS.for_kind("v1", "Widget") is None


@pytest.mark.parametrize(
    "resource",
    [
        "namespaces",
        "nodes",
        "pods",
        "configmaps",
        "secrets",
        "services",
        "events",
        "leases.coordination.k8s.io",
        "deployments.apps",
        "replicasets.apps",
        "serviceaccounts",
        "runtimeclasses.node.k8s.io",
        "priorityclasses.scheduling.k8s.io",
        "nodelinks.edge.aiokubeedge.io",
    ],
)
def test_the_first_release_serves(resource: str) -> None:
    assert resource in KINDS


def test_names_on_the_command_line_are_unambiguous() -> None:
    # What nodes and pods use goes by their names, as it does in Kubernetes; the core group comes first.
    kinds = [kind for kind in KINDS.kept if kind.group != "metrics.k8s.io"]
    names = [name for kind in kinds for name in {kind.plural, kind.singular, *kind.short_names}]
    assert len(names) == len(set(names))


def test_versions_of_one_kind_are_kept_as_one() -> None:
    kept = KINDS.of("horizontalpodautoscalers.autoscaling")
    older = KINDS.at("autoscaling", "v1", "horizontalpodautoscalers")
    assert kept.version == "v2"
    assert older is not kept
    assert older.stored is kept
    assert KINDS.for_kind("autoscaling/v1", "HorizontalPodAutoscaler") is kept
    assert KINDS.of("events.events.k8s.io") is KINDS.of("events")
    assert older not in KINDS.kept


def test_derived_names() -> None:
    deployment = KINDS.of("deployments.apps")
    assert (deployment.api_version, deployment.list_kind, deployment.singular, deployment.qualified) == (
        "apps/v1",
        "DeploymentList",
        "deployment",
        "Deployment.apps",
    )
    assert KINDS.of("pods").qualified == "Pod"
    scale = deployment.subresource("scale")
    assert scale is not None
    assert (scale.group, scale.kind) == ("autoscaling", "Scale")
    assert deployment.subresource("nope") is None


def test_a_table_keeps_the_order_of_its_rows() -> None:
    rows = [KINDS.of("pods"), KINDS.of("nodes")]
    assert list(KindTable(rows)) == rows


def test_a_put_creates_what_it_creates_in_kubernetes() -> None:
    """Those whose strategy answers AllowCreateOnUpdate with yes."""
    assert {kind.resource for kind in KINDS if kind.stored.put_creates} == {
        "clusterrolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "endpoints",
        "events",
        "events.events.k8s.io",
        "leases.coordination.k8s.io",
        "limitranges",
        "rolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "runtimeclasses.node.k8s.io",
        "services",
    }
