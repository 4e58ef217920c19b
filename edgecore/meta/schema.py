"""The meta database's file: its schema, how it moves forward, and what happens when it cannot be read.

Opening migrates forward in one transaction and keeps a copy of the file as it was, to roll back to. A file that
is corrupt is set aside, not deleted, and an empty one takes its place; identity is not in it (``identity.json``
lies beside it), so the cloud can send the slice again. A newer agent's is taken back (:mod:`edgecore.meta.rollback`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from edgecore.meta.rollback import copy_at, step_back
from protocol.errors import UsageError
from protocol.files import sync

log = structlog.get_logger("edgecore.meta")

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE objects (
            resource TEXT, namespace TEXT, name TEXT, uid TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
            line INTEGER NOT NULL, PRIMARY KEY (resource, namespace, name)) STRICT""",
        """CREATE TABLE reports (
            resource TEXT, namespace TEXT, name TEXT, uid TEXT NOT NULL, generation INTEGER NOT NULL,
            body BLOB NOT NULL, owed INTEGER NOT NULL, PRIMARY KEY (resource, namespace, name)) STRICT""",
        """CREATE TABLE events (
            resource TEXT, namespace TEXT, name TEXT, generation INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (resource, namespace, name)) STRICT""",
        """CREATE TABLE settled (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, code TEXT NOT NULL, reason TEXT NOT NULL) STRICT""",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ),
)
"""Entry ``i`` takes a database from schema version ``i`` to ``i + 1``."""

SET_ASIDE_KEPT = 2
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    # What is deleted is overwritten: a Secret that left the node must not be readable in the file.
    "PRAGMA secure_delete=ON",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA cache_size=-512",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA busy_timeout=5000",
)


def open_database(
    path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> tuple[sqlite3.Connection, Path | None]:
    """Open the database at ``path``, made new, migrated or rebuilt as needed.

    Returns:
        The connection, usable from any one thread at a time, and where a corrupt file was set aside, if one was.

    Raises:
        UsageError: The file is not ours to write, or a newer version of the agent made it and it cannot be taken back.
    """
    aside: Path | None = None
    try:
        try:
            connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if not is_corruption(error):
                raise
            aside = set_aside(path, str(error))
            connection = _connect(path)
        version = _version(connection)
        if version > len(migrations):
            connection.close()  # which folds its journal into it
            step_back(path, version, migrations)
            connection = _connect(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise UsageError(f"cannot open the meta database {path}: {error}") from error
    try:
        _migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection, aside


def is_corruption(error: sqlite3.Error) -> bool:
    """Tell whether ``error`` says that the file is damaged or is no database."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def corruption(reason: str) -> sqlite3.DatabaseError:
    """Return the error that says that the file is damaged."""
    damage = sqlite3.DatabaseError(reason)
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damage


def set_aside(path: Path, reason: str) -> Path:
    """Move a damaged database and its journal out of the way; the newest few are kept for a look."""
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    while aside.exists():
        aside = aside.with_name(aside.name + "x")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.error("meta database is corrupt: set aside, starting empty", path=str(path), aside=str(aside), cause=reason)
    older = sorted(
        (each for each in path.parent.glob(f"{path.name}.corrupt-*") if not each.name.endswith(("-wal", "-shm"))),
        key=lambda each: each.name,
    )
    for each in older[:-SET_ASIDE_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            each.with_name(each.name + suffix).unlink(missing_ok=True)
    return aside


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, not by SQLite, so that it and its journal (which copies the mode) are never readable by others.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=32)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        findings = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if findings != "ok":
            raise corruption(findings)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version < 0 or (tables and not version):
            raise corruption(f"schema version {version} of a database with {tables} tables and indexes")
    except UnicodeDecodeError as error:  # in what SQLite says of a damaged schema
        connection.close()
        raise corruption(f"what is said of it is no UTF-8: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    version = _version(connection)
    if version == len(migrations):
        return
    if version:
        _keep_copy(connection, copy_at(path, version))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _keep_copy(connection: sqlite3.Connection, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    target = sqlite3.connect(copy)
    try:
        connection.backup(target)
    finally:
        target.close()
    sync(copy.parent)
