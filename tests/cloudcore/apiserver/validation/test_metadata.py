from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation.metadata import check_metadata, check_metadata_update, check_name

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}


def wrong(**metadata: Any) -> list[tuple[str, str]]:
    causes = check_metadata("subdomain", {"name": "web", **metadata})
    return [(cause.reason.removeprefix("FieldValue"), cause.field) for cause in causes]


def test_good_metadata() -> None:
    assert not wrong(
        labels={"app.kubernetes.io/name": "web", "empty": ""},
        annotations={"Example.com/Note": "any text\n"},
        finalizers=["example.com/a", "orphan"],
        ownerReferences=[{**OWNER, "controller": True}, {**OWNER, "uid": "v"}],
    )


@pytest.mark.parametrize(
    ("rule", "name", "good"),
    [
        ("subdomain", "a.b-c.1", True),
        ("subdomain", "a" * 253, True),
        ("subdomain", "a" * 254, False),
        ("subdomain", "Web", False),
        ("subdomain", "-a", False),
        ("subdomain", "a..b", False),
        ("subdomain", "a\n", False),
        ("subdomain", "a_b", False),
        ("label", "a-1", True),
        ("label", "a.b", False),
        ("label", "a" * 64, False),
        ("service", "web-1", True),
        ("service", "1-web", False),
        ("path", "system:node:A", True),
        ("path", "a/b", False),
        ("path", "..", False),
    ],
)
def test_names_follow_their_kinds_rule(rule: str, name: str, good: bool) -> None:
    assert (check_name(rule, "metadata.name", name) == []) is good


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"name": ""}, [("Required", "metadata.name")]),
        ({"labels": {"a b": "c"}}, [("Invalid", "metadata.labels")]),
        ({"labels": {"a": "c d"}}, [("Invalid", "metadata.labels")]),
        ({"labels": {"a": "x" * 64}}, [("Invalid", "metadata.labels")]),
        ({"annotations": {"a b": ""}}, [("Invalid", "metadata.annotations")]),
        ({"annotations": {"a": "x" * 262_144}}, [("TooLong", "metadata.annotations")]),
        ({"finalizers": ["a b"]}, [("Invalid", "metadata.finalizers")]),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, [("Invalid", "metadata.finalizers")]),
        ({"ownerReferences": [{**OWNER, "uid": ""}]}, [("Invalid", "metadata.ownerReferences[0].uid")]),
        (
            {"ownerReferences": [{**OWNER, "controller": True}, {**OWNER, "controller": True}]},
            [("Invalid", "metadata.ownerReferences")],
        ),
    ],
)
def test_what_is_wrong_is_named(metadata: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert wrong(**metadata) == expected


def test_an_object_that_is_going_takes_no_new_finalizer() -> None:
    going = {"name": "a", "deletionTimestamp": "2027-01-15T08:00:00Z", "finalizers": ["example.com/a"]}
    added = {**going, "finalizers": ["example.com/a", "example.com/b"]}
    assert check_metadata_update("subdomain", {**going, "finalizers": []}, going) == []
    (cause,) = check_metadata_update("subdomain", added, going)
    assert cause.reason == "FieldValueForbidden"
    assert "example.com/b" in cause.message
