from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from cloudcore.apiserver.http.managers import field_manager
from cloudcore.apiserver.http.query import Query
from cloudcore.errors import Invalid

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"Content-Type": "application/apply-patch+yaml"}


@pytest.mark.parametrize(
    ("given", "agent", "manager"),
    [
        ("ann", "kubectl/v1.33", "ann"),
        ("", "kubectl/v1.33 (linux/amd64)", "kubectl"),
        ("", "cu\x00rl", "curl"),
        ("", "x" * 200, "x" * 128),
        ("", "", "unknown"),
    ],
)
def test_the_manager_is_named_or_else_the_program(given: str, agent: str, manager: str) -> None:
    assert field_manager(Query({"fieldManager": given}), agent) == manager


@pytest.mark.parametrize(("given", "why"), [("x" * 129, "Too long"), ("a\nb", "printable")])
def test_a_name_that_cannot_be(given: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        field_manager(Query({"fieldManager": given}), "")


async def applied(session: aiohttp.ClientSession, body: str, **params: str) -> tuple[int, Any]:
    async with session.patch(f"{CONFIGMAPS}/x", data=body, headers=APPLY, params=params) as response:
        return response.status, await response.json()


async def test_apply_takes_yaml_and_json(admin: aiohttp.ClientSession) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\ndata: {a: '1'}\n"
    assert (await applied(admin, text, fieldManager="ann"))[0] == 201
    stated = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}}
    status, body = await applied(admin, json.dumps(stated), fieldManager="ann")
    assert (status, body["data"]) == (200, {"a": "2"})
    status, body = await applied(admin, "{apiVersion: v1, kind: ConfigMap, data: {a: '3'}}", fieldManager="ann")
    assert (status, body["data"]) == (200, {"a": "3"})


async def test_a_conflict_is_a_status_that_clients_read(admin: aiohttp.ClientSession) -> None:
    stated = '{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"%s"}}'
    await applied(admin, stated % 1, fieldManager="ann")
    status, body = await applied(admin, stated % 2, fieldManager="bob")
    assert (status, body["reason"], body["kind"]) == (409, "Conflict", "Status")
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "ann"', "field": ".data.a"}
    assert body["details"]["causes"] == [cause]
    assert (await applied(admin, stated % 2, fieldManager="bob", force="true"))[0] == 200


async def test_apply_needs_a_manager_and_force_needs_apply(admin: aiohttp.ClientSession) -> None:
    status, body = await applied(admin, "{}")
    assert (status, "fieldManager: Required value" in body["message"]) == (422, True)
    headers = {"Content-Type": "application/merge-patch+json"}
    async with admin.patch(f"{CONFIGMAPS}/x", data="{}", headers=headers, params={"force": "true"}) as response:
        assert response.status == 422


@pytest.mark.parametrize("body", ["[1]", "{", "a: b: c", ""])
async def test_a_configuration_that_cannot_be_read(admin: aiohttp.ClientSession, body: str) -> None:
    assert (await applied(admin, body, fieldManager="ann"))[0] == 400
