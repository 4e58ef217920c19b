from __future__ import annotations

import pytest

from cloudcore.apiserver.http.listoptions import check_list, check_watch
from cloudcore.apiserver.http.query import Query
from cloudcore.errors import Invalid

MATCH, INITIAL = "resourceVersionMatch", "sendInitialEvents"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({MATCH: "Exact"}, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (
            {MATCH: "Exact", "resourceVersion": "0"},
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {MATCH: "Exact", "resourceVersion": "5", "continue": "x"},
            "resourceVersionMatch is forbidden when continue is provided",
        ),
        ({MATCH: "Nearly", "resourceVersion": "5"}, 'supported values: "Exact", "NotOlderThan"'),
        ({INITIAL: "true"}, "sendInitialEvents is forbidden for list"),
    ],
)
def test_what_does_not_go_together_in_a_list(query: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_list(Query(query))
    assert refused.value.message.startswith('ListOptions.meta.k8s.io "" is invalid: ')
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({MATCH: "NotOlderThan"}, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
        (
            {INITIAL: "true", "allowWatchBookmarks": "true"},
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        ({INITIAL: "true", MATCH: "NotOlderThan"}, "sendInitialEvents requires setting allowWatchBookmarks to true"),
    ],
)
def test_what_does_not_go_together_in_a_watch(query: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_watch(Query(query))
    assert why in refused.value.message


def test_what_goes_together() -> None:
    check_list(Query({}))
    check_list(Query({MATCH: "Exact", "resourceVersion": "5", "limit": "3"}))
    check_list(Query({MATCH: "NotOlderThan", "resourceVersion": "0"}))
    check_watch(Query({"resourceVersion": "5"}))
    check_watch(Query({INITIAL: "true", MATCH: "NotOlderThan", "allowWatchBookmarks": "true"}))
