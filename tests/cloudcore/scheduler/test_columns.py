from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.scheduler.columns import Column

VALUES = st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.sampled_from("abcdef"))), max_size=40)


@given(VALUES, st.frozensets(st.sampled_from("abcdef")))
def test_a_column_answers_like_a_dict(steps: list[tuple[int, str | None]], wanted: frozenset[str]) -> None:
    column: Column[str] = Column(5)
    plain: dict[int, str | None] = dict.fromkeys(range(5))
    for row, value in steps:
        column.set(row, value)
        plain[row] = value
    everywhere = slice(0, 5)
    assert [column.value(row) for row in range(5)] == list(plain.values())
    assert column.among(wanted, everywhere).tolist() == [value in wanted for value in plain.values()]
    assert column.present(everywhere).tolist() == [value is not None for value in plain.values()]
    tested = column.test(lambda value: value < "c", everywhere, absent=True)
    assert tested.tolist() == [value is None or value < "c" for value in plain.values()]
    scored = column.scores(lambda value: float(ord(value)), everywhere, absent=-1.0)
    assert scored.tolist() == [-1.0 if value is None else float(ord(value)) for value in plain.values()]


def test_rows_can_be_all_a_few_or_one() -> None:
    column: Column[str] = Column(3)
    column.set(1, "x")
    assert column.among(["x"], slice(0, 3)).tolist() == [False, True, False]
    assert column.among(["x"], np.array([1, 2])).tolist() == [True, False]
    assert bool(column.among(["x"], 1))


def test_growing_keeps_the_values() -> None:
    column: Column[str] = Column(1)
    column.set(0, "x")
    column.grow(3)
    assert [column.value(row) for row in range(3)] == ["x", None, None]


def test_values_that_no_row_has_any_more_are_forgotten() -> None:
    column: Column[int] = Column(2)
    for number in range(1_000):
        column.set(0, number)
    column.set(1, 7)
    asked: list[int] = []

    def ask(value: int) -> bool:
        asked.append(value)
        return True

    column.test(ask, slice(0, 2), absent=False)
    assert {7, 999} <= set(asked)
    assert len(asked) < 100
