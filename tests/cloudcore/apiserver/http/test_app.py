from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest
import yaml

from cloudcore.apiserver.http.app import MAX_PER_NODE
from protocol.objects.keys import NodeName, ObjectKey
from tests.support.apiservers import RunningServer
from tests.support.registries import a_pod

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def status_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body: dict[str, Any] = await response.json()
    assert (body["kind"], body["code"]) == ("Status", response.status), body
    return body


async def test_an_object_through_its_life(admin: aiohttp.ClientSession) -> None:
    async with admin.post(CONFIGMAPS, json=configmap("a", k="1")) as response:
        assert response.status == 201
        created = await response.json()
    async with admin.get(f"{CONFIGMAPS}/a") as response:
        assert await response.json() == created
    async with admin.put(f"{CONFIGMAPS}/a", json={**created, "data": {"k": "2"}}) as response:
        assert (await response.json())["data"] == {"k": "2"}
    async with admin.put(f"{CONFIGMAPS}/a", json=created) as response:
        assert (await status_of(response))["reason"] == "Conflict"
    async with admin.delete(f"{CONFIGMAPS}/a") as response:
        answer = await response.json()
        assert (answer["status"], answer["details"]["uid"]) == ("Success", created["metadata"]["uid"])
    async with admin.get(f"{CONFIGMAPS}/a") as response:
        body = await status_of(response)
    assert (response.status, body["reason"], body["details"]["name"]) == (404, "NotFound", "a")


async def test_a_put_may_create(admin: aiohttp.ClientSession, node: aiohttp.ClientSession) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge-1"
    async with node.put(path, json={"metadata": {"name": "edge-1"}}) as response:
        assert (await status_of(response))["code"] == 403
    for code in (201, 200):
        async with admin.put(path, json={"metadata": {"name": "edge-1"}}) as response:
            assert response.status == code
    event = {"regarding": {"namespace": "default"}, "eventTime": "2026-03-01T00:00:00.000000Z", "type": "Normal"}
    event |= {"reportingController": "c", "reportingInstance": "i", "action": "a", "reason": "r"}
    async with admin.put("/apis/events.k8s.io/v1/namespaces/default/events/e", json=event) as response:
        assert response.status == 201, await response.text()
        assert (await response.json())["regarding"] == {"namespace": "default"}


async def test_without_a_certificate_only_health_and_version(anonymous: aiohttp.ClientSession) -> None:
    async with anonymous.get(CONFIGMAPS) as response:
        assert response.status == 401
        assert (await status_of(response))["reason"] == "Unauthorized"
    for path in ("/healthz", "/livez", "/readyz", "/version", "/version/"):
        async with anonymous.get(path) as response:
            assert response.status == 200
    for path in ("/api", "/apis", "/openapi/v3", "/"):
        async with anonymous.get(path) as response:
            assert response.status == 401


async def test_readiness_says_what_is_wrong(anonymous: aiohttp.ClientSession, readiness: dict[str, str]) -> None:
    async with anonymous.get("/readyz?verbose") as response:
        assert await response.text() == "[+]ping ok\n[+]store ok\nreadyz check passed\n"
    readiness["store"] = "disk full"
    async with anonymous.get("/readyz") as response:
        assert response.status == 503
        assert "[-]store failed: disk full" in await response.text()
    async with anonymous.get("/readyz?exclude=store") as response:
        assert response.status == 200
    async with anonymous.get("/readyz/store") as response:
        assert response.status == 503
    async with anonymous.get("/livez/store") as response:
        assert response.status == 404


async def test_a_node_is_held_to_its_slice(
    server: RunningServer, admin: aiohttp.ClientSession, node: aiohttp.ClientSession, slices: Any
) -> None:
    await server.client.create("secrets", {"metadata": {"name": "s", "namespace": "default"}})
    path = "/api/v1/namespaces/default/secrets/s"
    async with node.get(path) as response:
        assert (await status_of(response))["reason"] == "Forbidden"
    slices.held.add((NodeName("edge-1"), ObjectKey("secrets", "default", "s")))
    async with node.get(path) as response:
        assert response.status == 200
    async with node.put(path, json={"metadata": {"name": "s"}}) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/widgets", 404),
        ("GET", "/apis/none/v1", 404),
        ("GET", "/apis/none", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/namespaces/default/configmaps/a/parts", 404),
        ("GET", "/api/v1/namespaces/default/pods/p/log", 404),
        ("GET", "/openapi/v3/apis/none/v1", 404),
        ("GET", "/api/v1/nodes/none/proxy/metrics", 404),
        ("POST", "/api/v1/namespaces/default/pods/p/log", 405),
        ("POST", "/api", 405),
        ("POST", f"{CONFIGMAPS}/a", 405),
        ("PUT", CONFIGMAPS, 405),
        ("DELETE", "/api/v1/configmaps", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("OPTIONS", CONFIGMAPS, 405),
        ("BREW", CONFIGMAPS, 400),
        ("GET", f"{CONFIGMAPS}?limit=x", 400),
        ("GET", f"{CONFIGMAPS}?watch=perhaps", 400),
        ("GET", f"{CONFIGMAPS}?watch=1&resourceVersion=x", 400),
        ("GET", f"{CONFIGMAPS}?watch=1&fieldSelector=no.such=x", 400),
        ("GET", f"{CONFIGMAPS}?labelSelector=,,", 400),
        ("POST", f"{CONFIGMAPS}?dryRun=Some", 400),
        ("POST", f"{CONFIGMAPS}?fieldValidation=Perhaps", 400),
    ],
)
async def test_every_failure_is_a_status(admin: aiohttp.ClientSession, method: str, path: str, code: int) -> None:
    async with admin.request(method, path) as response:
        assert (await status_of(response))["code"] == code


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("GET", "log"),
        ("GET", "exec"),
        ("POST", "exec"),
        ("POST", "attach"),
        ("POST", "portforward"),
        ("GET", "proxy"),
        ("DELETE", "proxy/some/path"),
    ],
)
async def test_what_needs_a_stream_to_the_node_is_not_implemented(
    server: RunningServer, admin: aiohttp.ClientSession, method: str, part: str
) -> None:
    await server.client.create("pods", a_pod())
    async with admin.request(method, f"/api/v1/namespaces/default/pods/web/{part}") as response:
        answer = await status_of(response)
    assert (answer["code"], answer["reason"]) == (501, "NotImplemented")


@pytest.mark.parametrize(
    ("body", "content_type", "code", "reason"),
    [
        (b"{", "application/json", 400, "BadRequest"),
        (b"[]", "application/json", 400, "BadRequest"),
        (b"a: [", "application/yaml", 400, "BadRequest"),
        (b"x", "application/vnd.kubernetes.protobuf", 400, "BadRequest"),
        (b"\xa0", "application/cbor", 415, "UnsupportedMediaType"),
        (b" " * (3 * 1024 * 1024 + 1), "application/json", 413, "RequestEntityTooLarge"),
    ],
)
async def test_bodies_that_cannot_be_taken(
    admin: aiohttp.ClientSession, body: bytes, content_type: str, code: int, reason: str
) -> None:
    async with admin.post(CONFIGMAPS, data=body, headers={"Content-Type": content_type}) as response:
        answer = await status_of(response)
    assert (answer["code"], answer["reason"]) == (code, reason)


async def test_a_decompression_bomb_is_cut_off(admin: aiohttp.ClientSession) -> None:
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with admin.post(CONFIGMAPS, data=bomb, headers=headers) as response:
        assert (await status_of(response))["code"] in {400, 413}


async def test_yaml_both_ways(admin: aiohttp.ClientSession) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {day: '2026-01-01', 1: one}\n"
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    async with admin.post(CONFIGMAPS, data=text, headers=headers) as response:
        assert response.content_type == "application/yaml"
        assert yaml.safe_load(await response.text())["data"] == {"day": "2026-01-01", "1": "one"}


async def test_protobuf_alone_is_not_acceptable(admin: aiohttp.ClientSession) -> None:
    async with admin.get(CONFIGMAPS, headers={"Accept": "application/vnd.kubernetes.protobuf"}) as response:
        assert (await status_of(response))["reason"] == "NotAcceptable"


async def test_tables_and_partial_metadata(admin: aiohttp.ClientSession) -> None:
    async with admin.post(CONFIGMAPS, json=configmap("a", k="1")):
        pass
    for path in (CONFIGMAPS, f"{CONFIGMAPS}/a"):
        async with admin.get(path, headers={"Accept": TABLE}) as response:
            table = await response.json()
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert table["rows"][0]["cells"][:2] == ["a", 1]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    async with admin.get(CONFIGMAPS, headers={"Accept": accept}) as response:
        partial = await response.json()
    assert partial["kind"] == "PartialObjectMetadataList"
    assert "data" not in partial["items"][0]


async def test_pages_add_up_to_the_list(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    for number in range(5):
        await server.client.create("configmaps", {"metadata": {"name": f"c{number}", "namespace": "default"}})
    names: list[str] = []
    token = ""
    while True:
        async with admin.get(CONFIGMAPS, params={"limit": "2", "continue": token}) as response:
            page = await response.json()
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == [f"c{number}" for number in range(5)]


async def test_long_lists_are_streamed_and_compressed(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    for number in range(250):
        body = {"metadata": {"name": f"c{number:03}", "namespace": "default"}, "data": {"k": "x" * 1000}}
        await server.client.create("configmaps", body)
    async with admin.get(CONFIGMAPS) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        compressed = await response.json()
    async with admin.get(CONFIGMAPS, headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.json() == compressed
    async with admin.get(CONFIGMAPS, headers={"Accept": "application/yaml"}) as response:
        assert len(yaml.load(await response.text(), Loader=yaml.CSafeLoader)["items"]) == 250
    assert len(compressed["items"]) == 250


async def test_patch_types(admin: aiohttp.ClientSession) -> None:
    async with admin.post(CONFIGMAPS, json=configmap("a", k="1")):
        pass
    patches = {
        "application/merge-patch+json": {"data": {"k": "2"}},
        "application/strategic-merge-patch+json": {"data": {"k": "3"}},
        "application/json-patch+json": [{"op": "replace", "path": "/data/k", "value": "4"}],
    }
    for expected, (content_type, patch) in zip("234", patches.items(), strict=True):
        headers = {"Content-Type": content_type}
        async with admin.patch(f"{CONFIGMAPS}/a", data=json.dumps(patch), headers=headers) as response:
            assert (await response.json())["data"] == {"k": expected}
    async with admin.patch(f"{CONFIGMAPS}/a", data="{}", headers={"Content-Type": "application/json"}) as response:
        assert (await status_of(response))["code"] == 415


async def test_unknown_fields_warn_or_refuse(admin: aiohttp.ClientSession) -> None:
    body = {**configmap("a"), "dta": {}}
    async with admin.post(f"{CONFIGMAPS}?fieldValidation=Strict", json=body) as response:
        answer = await status_of(response)
    assert (answer["code"], 'unknown field "dta"' in answer["message"]) == (400, True)
    async with admin.get(f"{CONFIGMAPS}/a") as response:
        assert response.status == 404
    async with admin.post(CONFIGMAPS, json=body) as response:
        assert response.status == 201
        assert response.headers["Warning"] == '299 - "unknown field \\"dta\\""'


async def test_delete_options_in_the_body_and_in_the_query(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    await server.client.create("configmaps", {"metadata": {"name": "a", "namespace": "default"}})
    wrong = {"preconditions": {"uid": "another"}}
    async with admin.delete(f"{CONFIGMAPS}/a", json=wrong) as response:
        assert (await status_of(response))["reason"] == "Conflict"
    for options in ({"propagationPolicy": "Sideways"}, {"gracePeriodSeconds": "1"}, {"dryRun": ["Some"]}):
        async with admin.delete(f"{CONFIGMAPS}/a", json=options) as response:
            assert response.status == 400
    async with admin.delete(f"{CONFIGMAPS}/a", json={"dryRun": ["All"]}) as response:
        assert response.status == 200
    async with admin.delete(f"{CONFIGMAPS}/a?propagationPolicy=Orphan&gracePeriodSeconds=0") as response:
        assert (await response.json())["metadata"]["finalizers"] == ["orphan"]


async def test_a_deletion_answers_with_a_status_or_for_some_kinds_with_what_is_gone(
    server: RunningServer, admin: aiohttp.ClientSession
) -> None:
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    uid = (await server.client.create("pods", pod))["metadata"]["uid"]
    async with admin.delete("/api/v1/namespaces/default/pods/p") as response:
        answer = await response.json()
        assert (answer["kind"], answer["metadata"]["uid"]) == ("Pod", uid)
    await server.client.create("configmaps", {"metadata": {"name": "a", "namespace": "default"}})
    async with admin.delete(f"{CONFIGMAPS}/a") as response:
        assert (await response.json())["kind"] == "Status"


async def test_delete_collection_takes_what_is_selected(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    for name, tier in (("a", "x"), ("b", "y")):
        metadata = {"name": name, "namespace": "default", "labels": {"tier": tier}}
        await server.client.create("configmaps", {"metadata": metadata})
    async with admin.delete(f"{CONFIGMAPS}?labelSelector=tier=x") as response:
        assert [item["metadata"]["name"] for item in (await response.json())["items"]] == ["a"]
    async with admin.get(CONFIGMAPS) as response:
        assert [item["metadata"]["name"] for item in (await response.json())["items"]] == ["b"]


async def test_binding_and_eviction(server: RunningServer, admin: aiohttp.ClientSession) -> None:
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await server.client.create("pods", pod)
    path = "/api/v1/namespaces/default/pods/p"
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "edge-1"}}
    async with admin.post(f"{path}/binding", json=binding) as response:
        assert (response.status, (await response.json())["status"]) == (201, "Success")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
    async with admin.post(f"{path}/eviction", json=eviction) as response:
        assert response.status == 201
    async with admin.get(path) as response:
        stored = await response.json()
    assert stored["spec"]["nodeName"] == "edge-1"
    assert "deletionTimestamp" in stored["metadata"]


async def test_a_defect_is_a_status_too(
    server: RunningServer, admin: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(server.registry.store, "get", broken)
    async with admin.get(f"{CONFIGMAPS}/a") as response:
        answer = await status_of(response)
    assert (answer["code"], answer["reason"]) == (500, "InternalError")


async def test_too_many_requests_at_once_are_told_to_come_back(
    server: RunningServer, admin: aiohttp.ClientSession
) -> None:
    server.app._in_flight = 50
    async with admin.get(CONFIGMAPS) as response:
        answer = await status_of(response)
        assert (answer["code"], response.headers["Retry-After"]) == (429, "1")
    server.app._in_flight = 0
    async with admin.get(CONFIGMAPS) as response:
        assert response.status == 200


async def test_one_node_cannot_take_the_room_of_the_others(
    server: RunningServer, node: aiohttp.ClientSession, admin: aiohttp.ClientSession
) -> None:
    with ExitStack() as rooms:
        for _ in range(MAX_PER_NODE):
            rooms.enter_context(server.app._room("edge-1", counted=False))
        async with node.get("/api/v1/nodes/edge-1") as response:
            assert (await status_of(response))["code"] == 429
        async with admin.get(CONFIGMAPS) as response:
            assert response.status == 200
    async with node.get("/api/v1/nodes/edge-1") as response:
        assert response.status == 404


@pytest.mark.parametrize("depth", [300, 900])
async def test_an_object_that_nests_too_deep_is_the_clients_mistake(admin: aiohttp.ClientSession, depth: int) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    for content_type in ("merge-patch", "strategic-merge-patch"):
        headers = {"Content-Type": f"application/{content_type}+json"}
        async with admin.patch("/api/v1/namespaces/default", json={"metadata": value}, headers=headers) as response:
            assert response.status < 500, await response.text()


async def test_reviews_of_oneself(admin: aiohttp.ClientSession, node: aiohttp.ClientSession) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "secrets"}}}
    for session, allowed in ((admin, True), (node, False)):
        async with session.post(path, json=review) as response:
            assert (await response.json())["status"]["allowed"] is allowed
    async with node.post(path, json={"spec": {}}) as response:
        assert response.status == 422
    namespaced = {"spec": {"namespace": "default"}}
    async with node.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json=namespaced) as response:
        assert (await response.json())["status"]["incomplete"] is True
    async with node.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}) as response:
        assert (await response.json())["status"]["userInfo"]["username"] == "system:node:edge-1"


@pytest.mark.parametrize(
    "path",
    [
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    ],
)
async def test_reviews_can_only_be_asked(admin: aiohttp.ClientSession, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        async with admin.request(method, path) as response:
            status = await status_of(response)
            assert (status["code"], status["reason"]) == (405, "MethodNotAllowed")
    async with admin.get(f"{path}?watch=1") as response:
        assert (await status_of(response))["code"] == 405
    for method, below in (("GET", "x"), ("PUT", "x"), ("DELETE", "x"), ("POST", "x/y")):
        async with admin.request(method, f"{path}/{below}", json={}) as response:
            assert (await status_of(response))["code"] == 404


async def test_a_review_is_decoded_and_answered_as_any_object(admin: aiohttp.ClientSession) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"verb": "list", "resource": "pods"}
    async with admin.post(path, json={"spec": {"resourceAttributes": asked}}) as response:
        answer = await response.json()
    assert (answer["apiVersion"], answer["kind"]) == ("authorization.k8s.io/v1", "SelfSubjectAccessReview")
    assert answer["metadata"] == {}
    misspelt = {"spec": {"resourceAttributes": {**asked, "resorce": "x"}}}
    async with admin.post(path, json=misspelt) as response:
        assert response.status == 201
        assert "unknown field" in response.headers["Warning"]
    async with admin.post(f"{path}?fieldValidation=Strict", json=misspelt) as response:
        assert response.status == 400
    for wrong in ({"kind": "Pod"}, {"spec": {"resourceAttributes": {"verb": 5}}}):
        async with admin.post(path, json={"spec": {"resourceAttributes": asked}, **wrong}) as response:
            assert response.status == 400
    async with admin.post(path.replace("/v1/", "/v9/"), json={}) as response:
        assert response.status == 404


async def test_pretty_is_indented(admin: aiohttp.ClientSession) -> None:
    async with admin.get("/api/v1/namespaces/default?pretty=true") as response:
        assert '\n  "metadata"' in await response.text()


@pytest.mark.parametrize(
    "path",
    ["/version", "/healthz", "/apis", "/openapi/v2", CONFIGMAPS, f"{CONFIGMAPS}?watch=1&timeoutSeconds=1", "/no"],
)
async def test_no_answer_tells_which_versions_of_what_serve_it(admin: aiohttp.ClientSession, path: str) -> None:
    async with admin.get(path) as response:
        assert "Server" not in response.headers


async def test_a_request_that_is_not_http_gets_a_status(server: RunningServer) -> None:
    host, port = server.server.address
    reader, writer = await asyncio.open_connection(host, port, ssl=server.tls())
    writer.write(b"NONSENSE\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert b" 400 " in answer.split(b"\r\n", 1)[0]
    assert b"\r\nServer:" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["kind"] == "Status"
