from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.validation.decoding import decode
from cloudcore.apiserver.validation.schemas import Schemas
from cloudcore.errors import BadRequest, Invalid
from tests.support.registries import a_context, a_deployment, a_pod

SCHEMAS = Schemas()
KINDS = builtin_kinds()


def decoded(resource: str, body: Any, validation: Any = "Warn") -> list[str]:
    """Decode ``body`` in place and return the warnings."""
    context = a_context(field_validation=validation)
    decode(SCHEMAS, KINDS.of(resource), body, context)
    return context.warnings


def with_template(**spec: Any) -> dict[str, Any]:
    body = a_deployment()
    body["spec"]["template"]["spec"] |= spec
    return body


def test_a_good_body_passes_untouched() -> None:
    body = a_deployment(replicas=2)
    assert decoded("deployments.apps", body, "Strict") == []
    assert body == a_deployment(replicas=2)


def test_an_unknown_field_is_refused_under_strict_validation() -> None:
    with pytest.raises(BadRequest) as caught:
        decoded("deployments.apps", a_deployment(replicsa=2), "Strict")
    assert caught.value.message == 'strict decoding error: unknown field "spec.replicsa"'
    assert [cause.field for cause in caught.value.causes] == ["spec.replicsa"]


def test_every_unknown_field_is_named_with_its_path() -> None:
    body = with_template(containers=[{"name": "a", "image": "b", "imagePullPolcy": "Always"}], volumez=[])
    warnings = decoded("deployments.apps", body)
    assert warnings == [
        'unknown field "spec.template.spec.containers[0].imagePullPolcy"',
        'unknown field "spec.template.spec.volumez"',
    ]
    assert body["spec"]["template"]["spec"] == {"containers": [{"name": "a", "image": "b"}]}


def test_an_unknown_field_is_dropped_in_silence_when_ignored() -> None:
    body = a_pod() | {"extra": 1}
    assert decoded("pods", body, "Ignore") == []
    assert "extra" not in body


def test_null_means_absent() -> None:
    body = with_template(nodeSelector=None, hostname=None)
    body["metadata"]["creationTimestamp"] = None
    body["metadata"]["annotations"] = {"a": None, "b": "c"}
    assert decoded("deployments.apps", body, "Strict") == []
    assert "nodeSelector" not in body["spec"]["template"]["spec"]
    assert "creationTimestamp" not in body["metadata"]
    assert body["metadata"]["annotations"] == {"b": "c"}


@pytest.mark.parametrize(
    ("resource", "change", "message"),
    [
        (
            "deployments.apps",
            {"replicas": "two"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments.apps",
            {"replicas": 1.5},
            "json: cannot unmarshal number into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments.apps",
            {"replicas": 2**40},
            "cannot unmarshal number 1099511627776 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        ("deployments.apps", {"paused": "no"}, "field DeploymentSpec.spec.paused of type bool"),
        (
            "deployments.apps",
            {"template": []},
            "cannot unmarshal array into Go struct field DeploymentSpec.spec.template",
        ),
        ("pods", {"containers": {}}, "cannot unmarshal object into Go struct field PodSpec.spec.containers of type []"),
        ("pods", {"nodeSelector": {"a": 1}}, "field PodSpec.spec.nodeSelector.a of type string"),
        (
            "pods",
            {"containers": [{"name": "a", "ports": [{"containerPort": "80"}]}]},
            "field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            "pods",
            {"containers": [{"name": "a", "resources": {"limits": {"cpu": "lots{}"}}}]},
            "quantities must match the regular expression",
        ),
        (
            "pods",
            {"containers": [{"name": "a", "readinessProbe": {"httpGet": {"port": True}}}]},
            "cannot unmarshal bool",
        ),
    ],
)
def test_a_wrong_type_names_the_field(resource: str, change: dict[str, Any], message: str) -> None:
    body = a_deployment() if resource == "deployments.apps" else a_pod()
    body["spec"] |= change
    with pytest.raises(BadRequest) as caught:
        decoded(resource, body)
    kind = KINDS.of(resource).kind
    assert caught.value.message.startswith(f'{kind} in version "v1" cannot be handled as a {kind}: ')
    assert message in caught.value.message


def test_a_malformed_time_is_refused() -> None:
    body = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"renewTime": "yesterday"}}
    with pytest.raises(BadRequest, match="parsing time"):
        decoded("leases.coordination.k8s.io", body)
    body["spec"] = {"renewTime": "2027-01-15T08:00:00.000000Z"}
    assert decoded("leases.coordination.k8s.io", body, "Strict") == []


def test_a_missing_required_field_is_invalid() -> None:
    with pytest.raises(Invalid) as caught:
        decoded("pods", a_pod(containers=[{"image": "x"}, {"name": "b", "env": [{"value": "c"}]}]))
    assert [(cause.reason, cause.field) for cause in caught.value.causes] == [
        ("FieldValueRequired", "spec.containers[0].name"),
        ("FieldValueRequired", "spec.containers[1].env[0].name"),
    ]


def test_a_status_may_leave_out_zero_values() -> None:
    body = a_pod() | {"status": {"containerStatuses": [{"name": "app"}]}}
    assert decoded("pods", body, "Strict") == []


@pytest.mark.parametrize("body", [[], "x", None, {"metadata": []}, {"metadata": None}])
def test_what_is_not_an_object_is_refused(body: Any) -> None:
    with pytest.raises(BadRequest):
        decoded("pods", body)


def test_a_kind_without_a_schema_takes_any_fields() -> None:
    body = {"metadata": {"name": "a"}, "anything": {"goes": None}}
    assert decoded("nodelinks.edge.aiokubeedge.io", body, "Strict") == []


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**40, "", "x", "5\n", "1Gi", [], {}, [None], {"a": None}, {"a": {}}]
)
RICH: dict[str, Any] = {
    "nodeSelector": {"a": "b"},
    "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}],
    "containers": [
        {
            "name": "a",
            "env": [{"name": "A", "value": "b"}],
            "resources": {"limits": {"cpu": "1"}},
            "livenessProbe": {"httpGet": {"port": 80}},
        }
    ],
}


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything inside ``node``."""
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    return [(node, key) for key, _ in pairs] + [place for _, value in pairs for place in places(value)]


@given(st.data())
def test_what_the_walk_lets_pass_the_schema_accepts(data: st.DataObject) -> None:
    """The compiled schema and the walk must agree, or a wrong body would be stored."""
    body = copy.deepcopy(a_pod(**RICH))
    container, key = data.draw(st.sampled_from(places(body["spec"])))
    container[key] = data.draw(ODD)
    try:
        decoded("pods", body)
    except (BadRequest, Invalid):
        return
    assert SCHEMAS.accepts(KINDS.of("pods").schema, body)
