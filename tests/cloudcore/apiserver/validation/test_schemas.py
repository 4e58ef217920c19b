from __future__ import annotations

import pytest

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.validation.schemas import Schemas, definitions, resolve, type_name

# This project's own kinds are in nobody's document, and KubeEdge's not in Kubernetes'.
OTHERS = {"edge.aiokubeedge.io", "devices.kubeedge.io"}
STORED = [kind for kind in builtin_kinds() if not kind.virtual and kind.group not in OTHERS]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.resource)
def test_every_stored_kind_has_the_schema_its_row_names(kind) -> None:  # type: ignore[no-untyped-def]
    stated = definitions()[kind.schema]["x-kubernetes-group-version-kind"]
    assert {"group": kind.group, "version": kind.version, "kind": kind.kind} in stated


def test_a_compiled_schema_is_closed_to_unknown_fields_at_any_depth() -> None:
    schemas = Schemas()
    name = "io.k8s.api.core.v1.Pod"
    assert schemas.accepts(name, {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]}})
    assert not schemas.accepts(name, {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1, "x": 1}]}]}})


def test_an_int_or_string_is_either() -> None:
    schemas, name = Schemas(), "io.k8s.api.core.v1.ServicePort"
    assert schemas.accepts(name, {"port": 1, "targetPort": "http"})
    assert schemas.accepts(name, {"port": 1, "targetPort": 80})
    assert not schemas.accepts(name, {"port": 1, "targetPort": 8.5})


def test_a_reference_keeps_what_stands_beside_it() -> None:
    strategy = definitions()["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
    resolved = resolve(strategy)
    assert resolved["x-kubernetes-patch-strategy"] == "retainKeys"
    assert "rollingUpdate" in resolved["properties"]


def test_the_last_part_of_a_name_is_its_type() -> None:
    assert type_name("#/$defs/io.k8s.api.core.v1.PodSpec") == "PodSpec"
