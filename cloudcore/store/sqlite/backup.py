"""Backups of a live database, and the way back. Blocking: call these off the event loop."""

from __future__ import annotations

import uuid
from pathlib import Path

from cloudcore.store.sqlite import schema
from cloudcore.store.sqlite.driver import Connection, StandardDriver
from cloudcore.store.sqlite.files import COMPANIONS, copy_database
from cloudcore.store.sqlite.lock import lock_database
from protocol.errors import UsageError
from protocol.files import sync

RESTORE_GAP = 1_000_000_000
"""How far a restore moves the revision ahead, so that clients which have seen the lost future meet no revision twice.

A store would have to write at full rate for most of a day after the backup to use as many.
"""

_DRIVER = StandardDriver()


def backup(source: Path, target: Path) -> None:
    """Copy the database ``source``, which may be in use by this or another process, to ``target``.

    Raises:
        UsageError: ``source`` is no database of ours, or ``target`` cannot be written.
    """
    connection = _open(source)
    try:
        schema.check(connection, source)
        copy_database(connection, target)
    except (_DRIVER.error, OSError) as exc:
        raise UsageError(f"cannot back up {source} to {target}: {exc}") from exc
    finally:
        connection.close()


def restore(source: Path, target: Path) -> None:
    """Make ``target`` the database that was backed up as ``source``, under a new incarnation id.

    A database that is there already is kept as ``<target>.before-restore``.

    Raises:
        UsageError: ``source`` is no sound backup, or ``target`` is in use or cannot be written.
    """
    lock = lock_database(target)
    staged = Path(f"{target}.restoring")
    try:
        _stage(source, staged)
        _set_aside(target)
        staged.replace(target)
        sync(target.parent)
    except (_DRIVER.error, OSError) as exc:
        raise UsageError(f"cannot restore {target} from {source}: {exc}") from exc
    finally:
        staged.unlink(missing_ok=True)
        lock.release()


def _stage(source: Path, staged: Path) -> None:
    connection = _open(source)
    try:
        if schema.check(connection, source) == 0:
            raise UsageError(f"{source} is not a cloudcore database")
        ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise UsageError(f"{source} is damaged: {verdict}")
        copy_database(connection, staged)
    finally:
        connection.close()
    connection = _DRIVER.connect(str(staged))
    try:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'incarnation'", (str(uuid.uuid4()),))
        connection.execute("UPDATE meta SET value = value + ? WHERE key = 'reserved'", (RESTORE_GAP,))
    finally:
        connection.close()


def _set_aside(target: Path) -> None:
    for suffix in ("", *COMPANIONS):
        path = Path(f"{target}{suffix}")
        if path.exists():
            path.replace(f"{target}.before-restore{suffix}")


def _open(source: Path) -> Connection:
    if not source.is_file():
        raise UsageError(f"there is no database {source}")
    return _DRIVER.connect(str(source))
