"""One pod shape against all nodes, brought up to date instead of computed anew. Sans-IO.

A placement changes the use of one row. So for each shape the result of the filters and scores that do not depend on
use is kept until a node's features change, and the total is kept and corrected for the rows whose use changed since
it was last asked for. Placing the replicas of one template then costs one row and one maximum each, not all nodes
times all plugins.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cloudcore.scheduler.columns import Mask, Rows, Scores
from cloudcore.scheduler.framework import Profile
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape

NEVER = -np.inf
"""The total of a node that cannot take the pod."""

_ONE_BY_ONE = 8
"""Up to so many changed rows are corrected one at a time: scalars cost less than short arrays."""


class Suitability:
    """The part of an evaluation that does not depend on use; shared by shapes with the same demands.

    Args:
        shape: A pod shape with these demands.
        profile: The plugins.
    """

    def __init__(self, shape: PodShape, profile: Profile) -> None:
        self._shape = shape
        self._filters = [plugin for plugin in profile.filters if not plugin.dynamic]
        self._scores = [(plugin, weight) for plugin, weight in profile.scores if not plugin.dynamic]
        self._version = -1
        self.mask: Mask = np.zeros(0, np.bool_)
        self.base: Scores = np.zeros(0)

    def refresh(self, table: NodeTable) -> None:
        """Bring ``mask`` and ``base`` up to date."""
        if self._version == table.features_version:
            return
        rows = table.everywhere
        mask: Mask = table.valid[rows].copy()
        for filter_ in self._filters:
            mask &= filter_.filter(self._shape, table, rows)
        base: Scores = np.zeros(table.size)
        for score, weight in self._scores:
            raw = score.score(self._shape, table, rows)
            # Kubernetes stretches over the nodes that pass all filters; here it is those that pass the static ones,
            # so that one placement never changes every node's score.
            best = raw[mask].max(initial=0.0) if score.normalized else 100.0
            if best > 0:
                base += (weight * 100.0 / best) * raw
        self.mask, self.base = mask, base
        self._version = table.features_version


class Evaluation:
    """Scores of all nodes for one shape.

    Args:
        shape: The pod shape.
        profile: The plugins.
        suitability: The static part, if it is known already.
    """

    def __init__(self, shape: PodShape, profile: Profile, suitability: Suitability | None = None) -> None:
        self.shape = shape
        self._suitability = suitability or Suitability(shape, profile)
        self._filters = [plugin for plugin in profile.filters if plugin.dynamic]
        self._scores = [(plugin, weight) for plugin, weight in profile.scores if plugin.dynamic]
        self._version = -1
        self._use_position = 0
        self._totals: Scores = np.zeros(0)

    def totals(self, table: NodeTable) -> Scores:
        """Return the total score of each row, ``NEVER`` where the pod cannot go. Owned by this object: do not keep."""
        if self._version != table.features_version:
            self._suitability.refresh(table)
            self._totals = np.empty(table.size)
            self._version = table.features_version
            self._correct(table, [table.everywhere])
        else:
            self._catch_up(table)
        self._use_position = table.use_position
        return self._totals

    def _catch_up(self, table: NodeTable) -> None:
        changed = table.used_since(self._use_position)
        if changed is None:
            self._correct(table, [table.everywhere])
        elif len(changed) <= _ONE_BY_ONE:
            self._correct(table, changed)
        else:
            self._correct(table, [np.fromiter(changed, np.intp, len(changed))])

    def _correct(self, table: NodeTable, runs: Iterable[Rows]) -> None:
        for rows in runs:
            mask = self._suitability.mask[rows]
            for filter_ in self._filters:
                mask = mask & filter_.filter(self.shape, table, rows)
            total = self._suitability.base[rows]
            for score, weight in self._scores:
                total = total + weight * score.score(self.shape, table, rows)
            self._totals[rows] = np.where(mask, total, NEVER)
