from __future__ import annotations

import pytest

from cloudcore.apiserver.custom.names import conflict_of, is_true, names_of, resource_of, status_of_names
from cloudcore.apiserver.kinds.kind import Kind
from protocol.objects.keys import Body
from tests.support.definitions import a_definition, a_version

OTHER = Kind(kind="Other", plural="others", group="stable.example.com", short_names=("o",))
ELSEWHERE = Kind(kind="CronTab", plural="crontabs", group="elsewhere.example.com")


def test_names_that_are_left_out_follow_from_the_kind() -> None:
    names = names_of(a_definition())
    assert (names["singular"], names["listKind"]) == ("crontab", "CronTabList")
    assert resource_of(a_definition()) == "crontabs.stable.example.com"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"plural": "other"}, "PluralConflict"),
        ({"singular": "others"}, "SingularConflict"),
        ({"shortNames": ["ct", "o"]}, "ShortNamesConflict"),
        ({"kind": "Other", "singular": "x"}, "KindConflict"),
        ({"listKind": "OtherList"}, "ListKindConflict"),
        ({}, ""),
    ],
)
def test_names_of_the_same_group_are_taken(names: Body, reason: str) -> None:
    assert conflict_of(a_definition(names=names), [OTHER, ELSEWHERE])[0] == reason


def test_a_built_in_kind_is_not_taken_over() -> None:
    built_in = Kind(kind="CronTab", plural="crontabs", group="stable.example.com")
    assert conflict_of(a_definition(), [built_in]) == ("PluralConflict", '"crontabs" is already in use')


def test_free_names_establish() -> None:
    status = status_of_names(a_definition(), [], "now")
    body = {"status": status}
    assert is_true(body, "Established")
    assert is_true(body, "NamesAccepted")
    assert status["acceptedNames"]["plural"] == "crontabs"
    assert status["storedVersions"] == ["v1"]


def test_taken_names_do_not() -> None:
    status = status_of_names(a_definition(names={"shortNames": ["o"]}), [OTHER], "now")
    assert [(each["type"], each["status"], each["reason"]) for each in status["conditions"]] == [
        ("NamesAccepted", "False", "ShortNamesConflict"),
        ("Established", "False", "NotAccepted"),
    ]
    assert status["acceptedNames"] == {"plural": "", "kind": ""}


def test_what_is_established_stays_so_under_its_accepted_names() -> None:
    body = a_definition()
    body["status"] = status_of_names(body, [], "before")
    body["spec"]["names"]["shortNames"] = ["o"]
    status = status_of_names(body, [OTHER], "now")
    assert is_true({"status": status}, "Established")
    assert not is_true({"status": status}, "NamesAccepted")
    assert status["acceptedNames"]["shortNames"] == ["ct"]


def test_every_version_that_was_kept_is_remembered() -> None:
    body = a_definition(a_version("v2"), a_version("v1", storage=False))
    body["status"] = {"storedVersions": ["v1"]}
    assert status_of_names(body, [], "now")["storedVersions"] == ["v1", "v2"]
