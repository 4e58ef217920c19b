"""``NodeSelector``: which nodes something is bound to, a local volume for one.

Source: core/v1 ``NodeSelector``: one of the terms must match; of a term all labels and all fields; an empty term
matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocol.objects.keys import Body
from protocol.objects.selectors import matches, requirements_of

NAME_FIELD = "metadata.name"


def matches_node(selector: Body | None, name: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a node is one of those that ``selector`` means; None means all.

    Args:
        selector: ``{"nodeSelectorTerms": […]}``. A term that cannot be read matches nothing.
        name: The node's name.
        labels: Its labels.
    """
    if selector is None:
        return True
    return any(_matches_term(term, name, labels) for term in selector.get("nodeSelectorTerms") or ())


def _matches_term(term: Body, name: str, labels: Mapping[str, str]) -> bool:
    try:
        wanted = requirements_of(term.get("matchExpressions") or ())
        fields = requirements_of(term.get("matchFields") or ())
        return bool(wanted or fields) and matches(wanted, labels) and matches(fields, {NAME_FIELD: name})
    except (KeyError, ValueError):
        return False
