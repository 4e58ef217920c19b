from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from cloudcore.apiserver.http.openapi import OpenApi
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import NotFound
from protocol.objects.resources import DEFINITIONS
from tests.support.definitions import CRONTABS, a_definition, a_version
from tests.support.registries import make_registry

SPEC = {
    "type": "object",
    "description": "What is wanted.",
    "properties": {
        "port": {"x-kubernetes-int-or-string": True, "description": "A port."},
        "colour": {"type": "string", "nullable": True, "default": "red", "oneOf": [{"minLength": 1}]},
        "list": {"type": "array", "items": {"type": "string", "nullable": True}},
    },
}
NAME = "com.example.stable.v1.CronTab"
LOCATION = "apis/stable.example.com/v1"


@pytest.fixture
async def registry() -> Registry:
    made = make_registry()
    await LocalClient(made).create(DEFINITIONS, a_definition(a_version(spec=SPEC)))
    return made


def document(data: bytes) -> Any:
    return orjson.loads(gzip.decompress(data))


async def test_a_custom_kind_is_described_by_its_schema(registry: Registry) -> None:
    v3 = document(OpenApi(registry.kinds).v3(LOCATION))
    schema = v3["components"]["schemas"][NAME]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "stable.example.com", "version": "v1", "kind": "CronTab"}
    ]
    assert schema["properties"]["spec"] == SPEC
    reference = schema["properties"]["metadata"]["allOf"][0]["$ref"]
    assert reference.removeprefix("#/components/schemas/") in v3["components"]["schemas"]
    items = v3["components"]["schemas"][f"{NAME}List"]["properties"]["items"]
    assert items["items"] == {"$ref": f"#/components/schemas/{NAME}"}
    assert f"/{LOCATION}/namespaces/{{namespace}}/crontabs/{{name}}" in v3["paths"]


async def test_openapi_2_gets_only_words_it_has(registry: Registry) -> None:
    schema = document(OpenApi(registry.kinds).v2())["definitions"][NAME]
    assert schema["properties"]["spec"]["properties"] == {
        "port": {"description": "A port.", "x-kubernetes-int-or-string": True},
        "colour": {"type": "string"},
        "list": {"type": "array", "items": {"type": "string"}},
    }


async def test_no_strategic_patch_is_offered(registry: Registry) -> None:
    v3 = document(OpenApi(registry.kinds).v3(LOCATION))
    patch = v3["paths"][f"/{LOCATION}/namespaces/{{namespace}}/crontabs/{{name}}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


async def test_documents_follow_the_definitions(registry: Registry) -> None:
    openapi = OpenApi(registry.kinds)
    first, url = openapi.v3(LOCATION), openapi.index()["paths"][LOCATION]["serverRelativeURL"]
    assert openapi.v3(LOCATION) is first
    client = LocalClient(registry)
    changed = a_definition(a_version(spec={"type": "object"}))["spec"]
    await client.patch(DEFINITIONS, "", CRONTABS, {"spec": changed})
    assert openapi.v3(LOCATION) != first
    assert openapi.index()["paths"][LOCATION]["serverRelativeURL"] != url
    await client.patch(DEFINITIONS, "", CRONTABS, {"metadata": {"finalizers": None}})
    await client.delete(DEFINITIONS, "", CRONTABS)
    with pytest.raises(NotFound):
        openapi.v3(LOCATION)
    assert LOCATION not in openapi.index()["paths"]
