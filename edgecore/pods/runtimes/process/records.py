"""Records: the small files through which agent and supervisor tell each other what is so.

A record is a list of named fields, ``name NUL value NUL``, closed by a field named ``end``. No value can contain
NUL, as no argument and no environment variable can; so nothing needs escaping, and a torn record shows. Names may
repeat. Used by the supervisor: imports nothing beyond ``os``.
"""

from __future__ import annotations

import os

Fields = list[tuple[str, str]]

SPEC = "spec"
RUNNING = "running"
EXIT = "exit"
EXIT_RESERVE = "exit.reserve"
RESERVE_BYTES = 6144
"""Room kept on disk for an exit record, so that a full disk cannot swallow an exit code or a container's last words."""


class RecordTorn(ValueError):
    """A record has no proper end."""


def encode(fields: Fields) -> bytes:
    """Return the record of ``fields``.

    Raises:
        ValueError: A name or value contains NUL.
    """
    parts: list[str] = []
    for name, value in [*fields, ("end", "")]:
        if "\0" in name or "\0" in value:
            raise ValueError(f"field {name!r} contains NUL")
        parts += (name, value)
    return os.fsencode("\0".join(parts) + "\0")


def decode(data: bytes) -> Fields:
    """Return the fields of a record, without ``end``; what follows it is padding.

    Raises:
        RecordTorn: There is no ``end``.
    """
    parts = os.fsdecode(data).split("\0")
    fields: Fields = []
    for index in range(0, len(parts) - 1, 2):
        if parts[index] == "end":
            return fields
        fields.append((parts[index], parts[index + 1]))
    raise RecordTorn(f"record of {len(data)} bytes has no end")


def read(path: str) -> dict[str, str] | None:
    """Return the fields of the record at ``path`` (the last of each name), or None where there is none.

    Raises:
        OSError: It cannot be read.
        RecordTorn: It is not a record.
    """
    data = read_bytes(path)
    return None if data is None else dict(decode(data))


def read_bytes(path: str) -> bytes | None:
    """Return the content of ``path``, or None where there is no such file."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, fields: Fields) -> None:
    """Put a record at ``path``, whole or not at all, and on disk when this returns.

    Raises:
        OSError: It could not; what was at ``path`` is unchanged.
    """
    scratch = path + ".new"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, encode(fields))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(scratch, path)
    sync_folder(os.path.dirname(path))


def reserve(path: str) -> None:
    """Take :data:`RESERVE_BYTES` of disk at ``path``.

    Raises:
        OSError: There is no room.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, b"\0" * RESERVE_BYTES)
    finally:
        os.close(descriptor)


def write_reserved(reserved: str, path: str, fields: Fields) -> None:
    """Put a record at ``path`` in the room taken at ``reserved``. Needs no new blocks.

    Raises:
        OSError: The disk failed.
    """
    descriptor = os.open(reserved, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, encode(fields)[:RESERVE_BYTES].ljust(RESERVE_BYTES, b"\0"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(reserved, path)
    sync_folder(os.path.dirname(path))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``."""
    while data:
        data = data[os.write(descriptor, data) :]


def sync_folder(path: str) -> None:
    """Make renames in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
