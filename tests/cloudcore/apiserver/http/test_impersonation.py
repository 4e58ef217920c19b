from __future__ import annotations

import aiohttp
import pytest

from cloudcore.apiserver.http.impersonation import impersonation_of
from cloudcore.errors import BadRequest


def asked(*headers: tuple[str, str]) -> list[tuple[str, str, str, str, str]]:
    wanted = impersonation_of(headers)
    assert wanted is not None
    return [(each.resource, each.group, each.namespace, each.name, each.subresource) for each in wanted.questions()]


def test_without_such_headers_nobody_is_meant() -> None:
    assert impersonation_of([("Accept", "*/*")]) is None


def test_each_thing_that_is_claimed_is_asked_for() -> None:
    headers = (
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "devs"),
        ("impersonate-group", "ops"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-scopes%2fx", "view"),
    )
    assert asked(*headers) == [
        ("users", "", "", "jane", ""),
        ("groups", "", "", "devs", ""),
        ("groups", "", "", "ops", ""),
        ("uids", "authentication.k8s.io", "", "7", ""),
        ("userextras", "authentication.k8s.io", "", "view", "scopes/x"),
    ]
    wanted = impersonation_of(headers)
    assert wanted is not None
    assert (wanted.user.name, wanted.user.groups) == ("jane", ("devs", "ops", "system:authenticated"))
    assert (wanted.user.uid, wanted.user.extra) == ("7", {"scopes/x": ("view",)})


def test_a_service_account_is_asked_for_by_its_name_and_brings_its_groups() -> None:
    header = ("Impersonate-User", "system:serviceaccount:shop:robot")
    assert asked(header) == [("serviceaccounts", "", "shop", "robot", "")]
    wanted = impersonation_of([header])
    assert wanted is not None
    assert wanted.user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")


def test_the_anonymous_user_is_not_authenticated() -> None:
    wanted = impersonation_of([("Impersonate-User", "system:anonymous")])
    assert wanted is not None
    assert wanted.user.groups == ("system:unauthenticated",)


@pytest.mark.parametrize("header", ["Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-x"])
def test_somebody_must_be_meant(header: str) -> None:
    with pytest.raises(BadRequest, match="without impersonating a user"):
        impersonation_of([(header, "x")])


async def test_over_http(admin: aiohttp.ClientSession, nobody: aiohttp.ClientSession) -> None:
    as_jane = {"Impersonate-User": "jane"}
    async with admin.get("/api/v1/namespaces/default/pods", headers=as_jane) as response:
        assert (await response.json())["message"] == (
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
        )
    async with admin.get("/api/v1/pods", headers={**as_jane, "Impersonate-Group": "system:masters"}) as response:
        assert response.status == 200
    for headers in (as_jane, {**as_jane, "Impersonate-Group": "system:masters"}):
        async with nobody.get("/api/v1/pods", headers=headers) as response:
            assert response.status == 403
            assert (await response.json())["message"].startswith(
                'users "jane" is forbidden: User "someone" cannot impersonate resource "users"'
            )
    async with admin.get("/api/v1/pods", headers={"Impersonate-Group": "system:masters"}) as response:
        assert response.status == 400
