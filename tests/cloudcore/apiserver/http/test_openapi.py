from __future__ import annotations

import gzip
import json
from typing import Any

import aiohttp
import pytest

from cloudcore.apiserver.http.openapi import OpenApi, convert, reachable
from cloudcore.apiserver.http.reviews import REVIEW_KINDS
from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import NotFound

V3 = "#/components/schemas/"


@pytest.fixture(scope="module")
def openapi() -> OpenApi:
    return OpenApi(builtin_kinds(), REVIEW_KINDS)


def document(compressed: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(gzip.decompress(compressed))
    return decoded


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(references, node.values()))


def test_each_group_version_has_a_document_whose_references_hold(openapi: OpenApi) -> None:
    for location in openapi.index()["paths"]:
        built = document(openapi.v3(location))
        schemas = built["components"]["schemas"]
        assert {ref.removeprefix(V3) for ref in references(built)} <= set(schemas), location


def test_the_second_version_holds_too(openapi: OpenApi) -> None:
    built = document(openapi.v2())
    assert {ref.removeprefix("#/definitions/") for ref in references(built)} <= set(built["definitions"])


def test_type_fields_are_plain_strings_as_kubectl_explain_shows_them(openapi: OpenApi) -> None:
    deployment = document(openapi.v3("apis/apps/v1"))["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]
    assert not [name for name in ("apiVersion", "kind") if "enum" in deployment["properties"][name]]


def test_operations_say_what_clients_look_for(openapi: OpenApi) -> None:
    paths = document(openapi.v3("apis/apps/v1"))["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def test_every_patch_of_a_kind_says_that_fields_are_validated(openapi: OpenApi) -> None:
    # kubectl asks the first it finds, in no order, and else validates by itself, with other words.
    patches = [item["patch"] for item in document(openapi.v3("api/v1"))["paths"].values() if "patch" in item]
    of_kinds = {each["x-kubernetes-group-version-kind"]["kind"] for each in patches}
    assert {"Pod", "PodProxyOptions", "Service", "ServiceProxyOptions", "Node"} <= of_kinds
    for patch in patches:
        if not patch["x-kubernetes-group-version-kind"]["kind"].endswith("ProxyOptions"):
            assert "fieldValidation" in [each["name"] for each in patch["parameters"]], patch["operationId"]


def test_merge_keys_and_descriptions_are_kept(openapi: OpenApi) -> None:
    spec = document(openapi.v3("api/v1"))["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]
    assert spec["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert spec["description"]


def test_a_kind_without_a_schema_takes_anything(openapi: OpenApi) -> None:
    schemas = document(openapi.v3("apis/edge.aiokubeedge.io/v1alpha1"))["components"]["schemas"]
    assert schemas["io.aiokubeedge.edge.v1alpha1.NodeLink"]["x-kubernetes-preserve-unknown-fields"] is True


def test_a_kind_without_a_schema_lists_no_properties_where_kubectl_would_take_them_for_all(openapi: OpenApi) -> None:
    name = "io.aiokubeedge.edge.v1alpha1.ObjectTrace"
    assert "properties" not in document(openapi.v2())["definitions"][name]


@pytest.mark.parametrize("kind", REVIEW_KINDS, ids=lambda kind: kind.kind)
def test_what_is_asked_and_not_kept_is_described(openapi: OpenApi, kind: Kind) -> None:
    built = document(openapi.v3(f"apis/{kind.group}/{kind.version}"))
    place = f"/apis/{kind.group}/{kind.version}/{'namespaces/{namespace}/' if kind.namespaced else ''}{kind.plural}"
    assert {"post", "parameters"} == built["paths"][place].keys()
    assert "spec" in built["components"]["schemas"][kind.schema]["properties"] or kind.kind == "SelfSubjectReview"
    assert f"{kind.schema}List" not in built["components"]["schemas"]


def test_a_group_version_that_is_not_there(openapi: OpenApi) -> None:
    with pytest.raises(NotFound):
        openapi.v3("apis/none/v1")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"$ref": "#/$defs/A"}, {"$ref": V3 + "A"}),
        ({"$ref": "#/$defs/A", "description": "d"}, {"allOf": [{"$ref": V3 + "A"}], "description": "d"}),
        (
            {"oneOf": [{"type": ["string", "null"]}, {"type": ["integer", "null"]}]},
            {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        ({"properties": {"type": {"type": ["string", "null"]}}}, {"properties": {"type": {"type": "string"}}}),
    ],
)
def test_json_schema_becomes_openapi(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert convert(schema, V3) == expected


def test_reachable_follows_references_and_ends() -> None:
    raw: dict[str, dict[str, Any]] = {"A": {"p": [{"$ref": "#/$defs/B"}]}, "B": {"q": {"$ref": "#/$defs/A"}}, "C": {}}
    assert reachable(raw, ["A", "missing"]) == ["A", "B"]


async def test_over_http(admin: aiohttp.ClientSession) -> None:
    async with admin.get("/openapi/v3") as response:
        url = (await response.json())["paths"]["apis/apps/v1"]["serverRelativeURL"]
    async with admin.get(url) as response:
        assert (await response.json())["openapi"] == "3.0.0"
    async with admin.get(url, headers={"Accept-Encoding": "identity"}) as response:
        assert (await response.json())["openapi"] == "3.0.0"
    async with admin.get("/openapi/v2") as response:
        assert (await response.json())["swagger"] == "2.0"
    protobuf = {"Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    async with admin.get("/openapi/v2", headers=protobuf) as response:
        assert response.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
        assert await response.read()
