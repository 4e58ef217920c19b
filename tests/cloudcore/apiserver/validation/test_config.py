from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation.config import check_config_update, check_configmap, check_secret


def fields(causes: list[Any]) -> list[str]:
    return [cause.field for cause in causes]


def test_good_configuration() -> None:
    assert check_configmap({"data": {"a.b-c_D": "x", ".hidden": ""}, "binaryData": {"e": "AAE="}}) == []
    assert check_secret({"type": "Opaque", "data": {"a": "AAE="}}) == []
    assert check_secret({"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"a/b": "x"}}, ["data[a/b]"]),
        ({"data": {"..": "x"}}, ["data[..]"]),
        ({"data": {"": "x"}}, ["data[]"]),
        ({"data": {"k" * 254: "x"}}, [f"data[{'k' * 254}]"]),
        ({"data": {"a": "x"}, "binaryData": {"a": "AAE="}}, ["data[a]"]),
        ({"binaryData": {"a": "not base64"}}, ["binaryData[a]"]),
        ({"data": {"a": "x" * 1_048_577}}, [""]),
        ({"data": {"a": "é" * 600_000}}, [""]),
    ],
)
def test_a_wrong_configmap(body: dict[str, Any], expected: list[str]) -> None:
    assert fields(check_configmap(body)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"a": "!"}}, ["data[a]"]),
        ({"data": {"a": "A" * 1_500_000}}, ["data"]),
        ({"type": "kubernetes.io/tls"}, ["data[tls.crt]", "data[tls.key]"]),
        ({"type": "kubernetes.io/dockerconfigjson"}, ["data[.dockerconfigjson]"]),
        ({"type": "kubernetes.io/basic-auth"}, ["data[username]", "data[password]"]),
    ],
)
def test_a_wrong_secret(body: dict[str, Any], expected: list[str]) -> None:
    assert fields(check_secret(body)) == expected


def test_a_secrets_value_is_not_repeated_in_the_error() -> None:
    (cause,) = check_secret({"data": {"a": "hunter2!"}})
    assert "hunter2" not in cause.message


def test_what_is_immutable_stays() -> None:
    old = {"type": "Opaque", "immutable": True, "data": {"a": "AAE="}}
    assert check_config_update(dict(old), old) == []
    assert fields(check_config_update({**old, "data": {}}, old)) == ["data"]
    assert fields(check_config_update({**old, "immutable": False}, old)) == ["immutable"]
    assert fields(check_config_update({**old, "type": "x"}, {**old, "immutable": False})) == ["type"]
    assert check_config_update({**old, "data": {}}, {**old, "immutable": False}) == []
