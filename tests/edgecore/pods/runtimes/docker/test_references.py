from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.runtimes.docker.references import InvalidReference, credentials_for, parse
from edgecore.pods.runtimes.specs import Credentials

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "canonical"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:alpine", "docker.io/library/nginx:alpine"),
        ("team/app:1", "docker.io/team/app:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("registry.test/app", "registry.test/app:latest"),
        ("registry.test:5000/a/b/c:v1.0-rc_2", "registry.test:5000/a/b/c:v1.0-rc_2"),
        ("localhost/app:1", "localhost/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("UPPER:5000/app", "UPPER:5000/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"registry.test/app@{DIGEST}", f"registry.test/app@{DIGEST}"),
        (f"registry.test/app:1@{DIGEST}", f"registry.test/app@{DIGEST}"),
    ],
)
def test_names_in_full(image: str, canonical: str) -> None:
    assert parse(image).canonical == canonical


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Nginx",
        "a/B",
        "Team/app",
        "nginx:",
        "nginx:-x",
        "nginx:" + "x" * 129,
        "nginx@sha256:abc",
        "a//b",
        "/a",
        "a/",
        "a b",
        "nginx\n",
        "http://registry.test/app",
        "registry.test:port/app",
        "x" * 1000,
    ],
)
def test_what_is_no_name(image: str) -> None:
    with pytest.raises(InvalidReference):
        parse(image)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(image: str) -> None:
    try:
        found = parse(image)
    except InvalidReference:
        return
    assert parse(found.canonical) == parse(parse(found.canonical).canonical)
    assert found.registry
    assert found.repository


HUB, PLAIN, PATH, DEEP = (
    Credentials("https://index.docker.io/v1/", "hub"),
    Credentials("registry.test", "plain"),
    Credentials("registry.test/team", "path"),
    Credentials("*.test/team/app", "deep"),
)


@pytest.mark.parametrize(
    ("image", "names"),
    [
        ("nginx", ["hub"]),
        ("registry.test/team/app:1", ["deep", "path", "plain"]),
        ("registry.test/teams/app:1", ["plain"]),
        ("registry.test:5000/app", []),
        ("other.test/x", []),
    ],
)
def test_credentials_are_for_their_registry_and_the_longest_path_comes_first(image: str, names: list[str]) -> None:
    held = [HUB, PLAIN, PATH, DEEP]
    assert [one.username for one in credentials_for(parse(image), held)] == names
