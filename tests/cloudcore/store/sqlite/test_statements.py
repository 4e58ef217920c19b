from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from cloudcore.store.sqlite.schema import MIGRATIONS
from cloudcore.store.sqlite.statements import MAX_ROWS, Row, statements
from protocol.objects.keys import Revision


def row(number: int, tail: bytes = b"{}") -> Row:
    return (number, "pods", "d", str(number), f"u{number}", number, number, tail)


@given(st.integers(0, 3 * MAX_ROWS), st.integers(0, 40))
def test_every_row_is_put_and_every_id_deleted(puts: int, deletes: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in MIGRATIONS[0]():
        connection.execute(*statement)
    old = [row(10_000 + number) for number in range(deletes + 3)]
    for statement in statements(old, [], None):
        connection.execute(*statement)
    rows = [row(number) for number in range(puts)]
    for statement in statements(rows, [each[0] for each in old[:deletes]], Revision(7)):
        connection.execute(*statement)
    assert connection.execute("SELECT * FROM objects ORDER BY id").fetchall() == rows + old[deletes:]
    assert connection.execute("SELECT value FROM meta WHERE key = 'reserved'").fetchall() == [(7,)]
    connection.close()


def test_most_groups_are_one_statement_of_few_forms() -> None:
    forms = set()
    for count in range(1, MAX_ROWS + 1):
        found = statements([row(number) for number in range(count)], [], None)
        assert len(found) == 1
        forms.add(found[0][0])
    assert len(forms) <= 40


def test_nothing_to_do_is_no_statement() -> None:
    assert statements([], [], None) == []
