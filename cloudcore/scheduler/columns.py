"""Columns of values that many nodes share, so that a question is asked once per value, not once per node. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]
Rows = slice | NDArray[np.intp] | int
"""Some rows of the node table: all of them as a slice, a few by index, or one, for which NumPy is then skipped."""

V = TypeVar("V", bound=Hashable)

_ABSENT = -1


class Column(Generic[V]):
    """One value, or none, for each row; equal values share an id.

    Args:
        capacity: How many rows there is room for.
    """

    def __init__(self, capacity: int) -> None:
        self._ids = np.full(capacity, _ABSENT, np.int32)
        self._values: list[V] = []
        self._index: dict[V, int] = {}

    def grow(self, capacity: int) -> None:
        """Make room for ``capacity`` rows."""
        ids = np.full(capacity, _ABSENT, np.int32)
        ids[: len(self._ids)] = self._ids
        self._ids = ids

    def set(self, row: int, value: V | None) -> None:
        """Give ``row`` a value, or none."""
        self._ids[row] = _ABSENT if value is None else self._id_of(value)
        if len(self._values) > 2 * len(self._ids) + 64:
            self._forget_unused()

    def value(self, row: int) -> V | None:
        """Return the value of ``row``."""
        number = int(self._ids[row])
        return None if number == _ABSENT else self._values[number]

    def test(self, predicate: Callable[[V], bool], rows: Rows, *, absent: bool) -> Mask:
        """Return ``predicate`` of each row's value; ``absent`` for rows without one."""
        answers = np.empty(len(self._values) + 1, np.bool_)
        for number, value in enumerate(self._values):
            answers[number] = predicate(value)
        # The id of "none" is -1: NumPy takes the last answer for it.
        answers[_ABSENT] = absent
        return self._pick(answers, rows)

    def among(self, values: Iterable[V], rows: Rows) -> Mask:
        """Return whether each row's value is one of ``values``, without asking about every value there is."""
        answers = np.zeros(len(self._values) + 1, np.bool_)
        for value in values:
            number = self._index.get(value)
            if number is not None:
                answers[number] = True
        return self._pick(answers, rows)

    def present(self, rows: Rows) -> Mask:
        """Return whether each row has a value."""
        mask: Mask = self._ids[rows] != _ABSENT
        return mask

    def scores(self, measure: Callable[[V], float], rows: Rows, *, absent: float) -> Scores:
        """Return ``measure`` of each row's value."""
        answers = np.array([*(measure(value) for value in self._values), absent], np.float64)
        picked: Scores = answers[self._ids[rows]]
        return picked

    def _pick(self, answers: Mask, rows: Rows) -> Mask:
        picked: Mask = answers[self._ids[rows]]
        return picked

    def _id_of(self, value: V) -> int:
        number = self._index.get(value)
        if number is None:
            number = self._index[value] = len(self._values)
            self._values.append(value)
        return number

    def _forget_unused(self) -> None:
        used = [self.value(row) for row in range(len(self._ids))]
        self._values = []
        self._index = {}
        for row, value in enumerate(used):
            self._ids[row] = _ABSENT if value is None else self._id_of(value)
