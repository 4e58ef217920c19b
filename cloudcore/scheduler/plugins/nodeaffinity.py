"""nodeSelector and node affinity, required and preferred. Source: core/v1 ``NodeAffinity``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows, Scores
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import NodeTerm, PodShape


class NodeAffinity:
    """Turns away nodes that do not match the pod's nodeSelector and required node affinity."""

    name: ClassVar[str] = "NodeAffinity"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` match the selector and at least one of the required terms."""
        mask = table.matches_all(shape.node_selector, rows)
        if shape.required is None:
            return mask
        return mask & matches_any(shape.required, table, rows)

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Return the one reason there is."""
        return Counter({"node(s) didn't match Pod's node affinity/selector": len(rows)})


class PreferredNodeAffinity:
    """Scores nodes by the weights of the preferred terms that they match."""

    name: ClassVar[str] = "PreferredNodeAffinity"
    dynamic: ClassVar[bool] = False
    normalized: ClassVar[bool] = True

    def score(self, shape: PodShape, table: NodeTable, rows: Rows) -> Scores:
        """Return the sum of the matching terms' weights."""
        total: Scores = np.zeros(table.size)[rows]
        for preference in shape.preferred:
            total = total + preference.weight * _matches(preference.term, table, rows)
        return total


def matches_any(terms: Sequence[NodeTerm], table: NodeTable, rows: Rows) -> Mask:
    """Return which of ``rows`` match at least one of ``terms``."""
    mask: Mask = np.zeros(table.size, np.bool_)[rows]
    for term in terms:
        mask = mask | _matches(term, table, rows)
    return mask


def _matches(term: NodeTerm, table: NodeTable, rows: Rows) -> Mask:
    if not term.labels and not term.fields:
        # Kubernetes' rule for terms: an empty one selects no object.
        nowhere: Mask = np.zeros(table.size, np.bool_)[rows]
        return nowhere
    mask = table.matches_all(term.labels, rows)
    for requirement in term.fields:
        mask = mask & table.matches_field(requirement, rows)
    return mask
