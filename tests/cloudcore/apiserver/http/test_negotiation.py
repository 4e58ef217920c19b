from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.http.negotiation import JSON, PROTOBUF, YAML, Representation, body_type, negotiate, patch_type
from cloudcore.errors import NotAcceptable, UnsupportedMediaType

KUBECTL_TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
KUBECTL_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Representation(JSON)),
        ("*/*", Representation(JSON)),
        ("application/yaml", Representation(YAML)),
        (KUBECTL_TABLE, Representation(JSON, "Table", "meta.k8s.io", "v1")),
        ("application/vnd.kubernetes.protobuf,application/json", Representation(JSON)),
        ("application/json;q=0.5, application/yaml", Representation(YAML)),
        ("application/json;q=0, application/yaml;q=0.1", Representation(YAML)),
        ("application/json;q=x,application/yaml", Representation(YAML)),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Representation(JSON)),
        (KUBECTL_DISCOVERY, Representation(JSON)),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Representation(JSON, "PartialObjectMetadataList", "meta.k8s.io", "v1"),
        ),
    ],
)
def test_the_best_form_the_client_takes(accept: str, expected: Representation) -> None:
    assert negotiate(accept) == expected


def test_discovery_has_its_own_form_and_says_so_in_the_type() -> None:
    chosen = negotiate(KUBECTL_DISCOVERY, discovery=True)
    assert chosen.transformation == "APIGroupDiscoveryList"
    assert chosen.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert negotiate(KUBECTL_TABLE, discovery=True) == Representation(JSON)


@pytest.mark.parametrize("accept", [PROTOBUF, "text/html", "application/json;as=Table;v=v9;g=meta.k8s.io"])
def test_what_cannot_be_given(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)


@given(st.text())
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    try:
        assert negotiate(accept).media_type in {JSON, YAML}
    except NotAcceptable:
        pass


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("", JSON), ("application/json; charset=utf-8", JSON), ("application/x-yaml", YAML), (PROTOBUF, PROTOBUF)],
)
def test_the_bodys_type(content_type: str, expected: str) -> None:
    assert body_type(content_type) == expected


@pytest.mark.parametrize("content_type", ["application/cbor", "*/*", "text/plain"])
def test_a_body_of_another_type(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        body_type(content_type)


def test_patch_types() -> None:
    assert patch_type("application/merge-patch+json; charset=utf-8") == "merge"
    assert patch_type("application/apply-patch+yaml") == "apply"
    with pytest.raises(UnsupportedMediaType, match="strategic-merge-patch"):
        patch_type("application/json")
