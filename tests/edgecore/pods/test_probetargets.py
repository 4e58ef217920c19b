from __future__ import annotations

from typing import Any

import pytest

from edgecore.pods.probetargets import HttpTarget, TargetUnknown, authority, command_of, http_target, port_of

CONTAINER = {"ports": [{"name": "web", "containerPort": 8080}], "env": [{"name": "A", "value": "1"}]}


def target(**action: Any) -> HttpTarget:
    return http_target({"port": 80, **action}, CONTAINER, "10.0.0.7")


@pytest.mark.parametrize(
    ("action", "url"),
    [
        ({}, "http://10.0.0.7:80/"),
        ({"path": "/healthz?full=1"}, "http://10.0.0.7:80/healthz?full=1"),
        ({"path": "healthz"}, "http://10.0.0.7:80/healthz"),
        ({"path": "/a b"}, "http://10.0.0.7:80/a%20b"),
        ({"path": "/x\r\nEvil: 1"}, "http://10.0.0.7:80/x%0D%0AEvil:%201"),
        ({"scheme": "HTTPS", "port": 443}, "https://10.0.0.7:443/"),
        ({"port": "web"}, "http://10.0.0.7:8080/"),
        ({"host": "::1"}, "http://[::1]:80/"),
        ({"host": "other.test"}, "http://other.test:80/"),
    ],
)
def test_where_an_http_get_goes(action: dict[str, Any], url: str) -> None:
    assert target(**action).url == url


def test_headers_are_kept_in_their_order() -> None:
    headers = [{"name": "X-A", "value": "1"}, {"name": "X-B"}, {"name": "X-A", "value": "2"}]
    assert target(httpHeaders=headers).headers == (("X-A", "1"), ("X-B", ""), ("X-A", "2"))


@pytest.mark.parametrize(("name", "value"), [("A\r\nB", "x"), ("A", "x\nB: y"), ("", "x"), ("A:B", "x"), ("A", "\0")])
def test_a_header_that_would_become_another_is_refused(name: str, value: str) -> None:
    with pytest.raises(TargetUnknown, match="header"):
        target(httpHeaders=[{"name": name, "value": value}])


@pytest.mark.parametrize(("stated", "number"), [(80, 80), ("web", 8080), ("443", 443)])
def test_ports_by_number_and_by_name(stated: object, number: int) -> None:
    assert port_of(stated, CONTAINER) == number


@pytest.mark.parametrize("stated", ["other", 0, 65536, -1, None, "", "0"])
def test_ports_there_are_none_of(stated: object) -> None:
    with pytest.raises(TargetUnknown, match="port"):
        port_of(stated, CONTAINER)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/next", "http://10.0.0.7:80/next"),
        ("next?x=1", "http://10.0.0.7:80/a/next?x=1"),
        ("http://10.0.0.7:9090/", "http://10.0.0.7:9090/"),
        ("https://10.0.0.7/x", "https://10.0.0.7:443/x"),
        ("http://other.test/", None),
        ("ftp://10.0.0.7/", None),
        ("http://10.0.0.7:port/", None),
        ("http://[::1/", None),
    ],
)
def test_redirections_stay_with_the_host(location: str, url: str | None) -> None:
    onward = target(path="/a/b").redirected(location)
    assert (onward and onward.url) == url


def test_variables_that_are_stated_outright_are_put_into_a_command() -> None:
    container = {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}, {"name": "C"}]}
    action = {"command": ["x", "$(A)", "$(B)", "$(C)", "$$(A)"]}
    assert command_of(action, container) == ("x", "1", "$(B)", "", "$(A)")


@pytest.mark.parametrize("action", [{}, {"command": None}, {"command": []}])
def test_an_exec_without_a_command(action: dict[str, Any]) -> None:
    with pytest.raises(TargetUnknown):
        command_of(action, {})


@pytest.mark.parametrize(("host", "text"), [("10.0.0.7", "10.0.0.7:1"), ("::1", "[::1]:1"), ("a.test", "a.test:1")])
def test_authorities(host: str, text: str) -> None:
    assert authority(host, 1) == text
