"""Which parameters of a list or a watch go together. Sans-IO.

Source: Kubernetes ``ValidateListOptions``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.http.query import Query
from cloudcore.apiserver.validation.fields import forbidden, not_supported
from cloudcore.errors import Cause, Invalid

_MATCH: Final = "resourceVersionMatch"
_INITIAL: Final = "sendInitialEvents"


def check_list(query: Query) -> None:
    """Check a list's parameters.

    Raises:
        Invalid: They do not go together.
    """
    causes = _check_match(query)
    if query.text(_INITIAL):
        causes.append(forbidden(_INITIAL, "sendInitialEvents is forbidden for list"))
    _refuse(causes)


def check_watch(query: Query) -> None:
    """Check a watch's parameters.

    Raises:
        Invalid: They do not go together.
    """
    causes, match = [], query.text(_MATCH)
    if query.text(_INITIAL):
        if match != "NotOlderThan":
            causes.append(forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        if query.flag(_INITIAL) and not query.flag("allowWatchBookmarks"):
            causes.append(forbidden(_INITIAL, "sendInitialEvents requires setting allowWatchBookmarks to true"))
    elif match:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(forbidden(_MATCH, why))
    _refuse(causes)


def _check_match(query: Query) -> list[Cause]:
    match, version = query.text(_MATCH), query.text("resourceVersion")
    if not match:
        return []
    if not version:
        return [forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided")]
    if query.text("continue"):
        return [forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")]
    if match not in {"Exact", "NotOlderThan"}:
        return [not_supported(_MATCH, match, ("Exact", "NotOlderThan"))]
    if match == "Exact" and version == "0":
        return [forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')]
    return []


def _refuse(causes: list[Cause]) -> None:
    if not causes:
        return
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    what = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details = {"group": "meta.k8s.io", "kind": "ListOptions"}
    raise Invalid(f'ListOptions.meta.k8s.io "" is invalid: {what}', details=details, causes=causes)
