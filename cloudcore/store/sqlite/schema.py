"""The database's schema: its versions, and the way from one to the next."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from cloudcore.store.history import FIRST_REVISION
from cloudcore.store.sqlite.driver import Connection
from cloudcore.store.sqlite.files import copy_database
from protocol.errors import UsageError

APPLICATION_ID = 0x61696B65
"""Marks a file as a cloudcore database (the file header's application id, "aike")."""

Step = Sequence[tuple[str, Sequence[object]]]


def _first_version() -> Step:
    # Rows are addressed by an id that the engine hands out: appending and replacing by integer key takes half the
    # time of a primary key over (resource, namespace, name). Uniqueness of the key is the engine's to keep.
    return (
        ("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID", ()),
        (
            "CREATE TABLE objects (id INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL,"
            " name TEXT NOT NULL, uid TEXT NOT NULL, revision INTEGER NOT NULL, content_revision INTEGER NOT NULL,"
            " tail BLOB NOT NULL)",
            (),
        ),
        (
            "INSERT INTO meta VALUES ('incarnation', ?), ('reserved', ?)",
            (str(uuid.uuid4()), FIRST_REVISION),
        ),
        (f"PRAGMA application_id = {APPLICATION_ID}", ()),
    )


MIGRATIONS = (_first_version,)
"""``MIGRATIONS[n]()`` are the statements that lead from schema version n to n + 1."""


def migrate(connection: Connection, path: Path) -> None:
    """Bring the database to this program's schema version, in one transaction.

    Before an existing database is touched, a copy is left beside it as ``<path>.schema-<version>``.

    Raises:
        UsageError: The file is no cloudcore database, or of a newer version.
    """
    version = check(connection, path)
    newest = len(MIGRATIONS)
    if version == newest:
        return
    if version > 0:
        copy_database(connection, Path(f"{path}.schema-{version}"))
    connection.execute("BEGIN IMMEDIATE")
    for step in MIGRATIONS[version:newest]:
        for statement, parameters in step():
            connection.execute(statement, parameters)
    connection.execute(f"PRAGMA user_version = {newest}")
    connection.execute("COMMIT")


def check(connection: Connection, path: Path) -> int:
    """Return the schema version of a database that this program can open; 0 for an empty one.

    Raises:
        UsageError: It cannot.
    """
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    if application != APPLICATION_ID and (version or application or _has_tables(connection)):
        raise UsageError(f"{path} is not a cloudcore database")
    if version > len(MIGRATIONS):
        raise UsageError(
            f"{path} has schema version {version}, this cloudcore knows up to {len(MIGRATIONS)}: "
            f"use a newer cloudcore, or the copy that the upgrade left as {path}.schema-*"
        )
    return version


def _pragma(connection: Connection, name: str) -> int:
    ((value,),) = connection.execute(f"PRAGMA {name}")
    return int(value)


def _has_tables(connection: Connection) -> bool:
    ((count,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    return bool(count)
