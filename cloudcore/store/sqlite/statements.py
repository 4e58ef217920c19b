"""A group as few SQL statements as can be. Performs no I/O.

The binding gives up the interpreter lock at each statement, and a busy event loop may take milliseconds to hand it
back: a group that is one statement (most are) crosses over once, and needs no BEGIN and COMMIT either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from protocol.objects.keys import Revision

Statement = tuple[str, Sequence[Any]]
Row = tuple[int, str, str, str, str, int, int, bytes]
"""Id, resource, namespace, name, uid, revision, content revision, tail."""

MAX_ROWS: Final = 256
_STEP: Final = 8


def statements(puts: Sequence[Row], deletes: Sequence[int], reserve_to: Revision | None) -> list[Statement]:
    """Return the statements that delete rows by id, then put rows, then set the high-water mark of revisions."""
    found: list[Statement] = [(_delete(len(ids)), ids) for ids in _runs(deletes)]
    found += [(_put(len(rows)), tuple(chain.from_iterable(rows))) for rows in _runs(puts)]
    if reserve_to is not None:
        found.append(("UPDATE meta SET value = ? WHERE key = 'reserved'", (reserve_to,)))
    return found


def _runs(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut ``items`` into runs, each filled up with its last item to one of few lengths.

    Putting a row twice, or deleting it twice, is doing it once; few lengths keep the binding's cache of prepared
    statements small.
    """
    for start in range(0, len(items), MAX_ROWS):
        run = items[start : start + MAX_ROWS]
        missing = -len(run) % _STEP if len(run) > _STEP else 0
        yield [*run, *[run[-1]] * missing]


@cache
def _put(rows: int) -> str:
    row = f"({', '.join('?' * 8)})"
    return f"INSERT OR REPLACE INTO objects VALUES {', '.join([row] * rows)}"


@cache
def _delete(rows: int) -> str:
    return f"DELETE FROM objects WHERE id IN ({', '.join('?' * rows)})"
