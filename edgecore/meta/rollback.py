"""Going back to an older agent: a database of a newer schema is taken back to the one that this agent knows.

What the newer agent has stored is carried over, row by row, wherever the tables and columns of the older schema are
still there under their names: a migration that changes what a column means must rename it. Where they are not, the copy
that the migration kept takes its place; as it is older than what runs here, nothing counts as unwanted until the cloud
has said what is. The newer file is kept beside it, and a power cut leaves one or the other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from protocol.errors import UsageError
from protocol.files import sync

log = structlog.get_logger("edgecore.meta")

Migrations = Sequence[Sequence[str]]
_PARTS: Final = ("", "-journal", "-wal", "-shm")


def copy_at(path: Path, version: int) -> Path:
    """Return where the copy of the database at ``path`` lies that has schema ``version``."""
    return path.with_name(f"{path.name}.v{version}")


def step_back(path: Path, version: int, migrations: Migrations) -> None:
    """Put a database of the schema that ``migrations`` make in place of the one at ``path``, which nobody has open.

    Args:
        path: The database.
        version: Its schema version, which is a newer one.
        migrations: Those that this agent knows.

    Raises:
        UsageError: It cannot be carried over, and there is no copy to put back.
        OSError: The disk refuses; the newer file still stands.
    """
    draft = path.with_name(f"{path.name}.back")
    _remove(draft)
    try:
        how = _carry_over(path, draft, migrations)
        if how is not None:
            _put_back(path, draft, version, len(migrations), how)
        kept = copy_at(path, version)
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        for part in _PARTS[1:]:  # of the newer file, and empty: it was closed in order
            path.with_name(path.name + part).unlink(missing_ok=True)
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    finally:
        _remove(draft)
    log.warning(
        "the meta database was a newer agent's",
        schema=version,
        now=len(migrations),
        rows="from the copy made before" if how else "carried over",
        kept=str(kept),
    )


def _carry_over(path: Path, draft: Path, migrations: Migrations) -> str | None:
    """Fill ``draft`` with what can be read from ``path``; return why it cannot be, or None."""
    connection = _create(draft)
    try:
        connection.execute("ATTACH DATABASE ? AS newer", (str(path),))
        connection.execute("BEGIN IMMEDIATE")
        for statement in (statement for step in migrations for statement in step):
            connection.execute(statement)
        names = "SELECT name FROM main.sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in connection.execute(names).fetchall():
            # In brackets: what stands in quotes and is no column would be taken for a text.
            columns = ", ".join(f"[{row[1]}]" for row in connection.execute(f"PRAGMA main.table_info([{table}])"))
            connection.execute(f"INSERT INTO main.[{table}] ({columns}) SELECT {columns} FROM newer.[{table}]")
        connection.execute(f"PRAGMA main.user_version={len(migrations)}")
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None


def _put_back(path: Path, draft: Path, version: int, known: int, why: str) -> None:
    """Fill ``draft`` with the copy that was made before the migration.

    Raises:
        UsageError: There is none.
    """
    copy = copy_at(path, known)
    if not copy.exists():
        raise UsageError(
            f"{path} has schema version {version}, this edgecore knows up to {known}, it cannot be carried over "
            f"({why}), and {copy.name} is not there: run the newer version"
        )
    _remove(draft)
    connection = _create(draft)
    source = sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)
    try:
        source.backup(connection)
        connection.execute("DELETE FROM facts WHERE name='complete'")
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} has schema version {version}, and {copy} cannot be read: {error}") from error
    finally:
        source.close()
        connection.close()


def _create(draft: Path) -> sqlite3.Connection:
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(draft, isolation_level=None)


def _remove(draft: Path) -> None:
    for part in _PARTS:
        draft.with_name(draft.name + part).unlink(missing_ok=True)
