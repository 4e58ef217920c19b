"""Files that lie in the data folders, damaged: only ``UsageError`` may come, or what the reader states.

The first byte chooses the file: the run file, the settings, the identity, the link's state, a supervisor's record,
and the meta database, into which the rest is written at an offset.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from cloudcore import config as cloud_config
from cloudcore.sockets import RUN_FILE, read_run_file
from edgecore import config as edge_config
from edgecore import settings as edge_settings
from edgecore.local import read, status_of
from edgecore.meta.schema import open_database
from edgecore.meta.sqlite import read_only
from edgecore.node.identity import DataFolder, load_identity
from edgecore.pods.runtimes.process import records
from protocol.errors import UsageError

# The fuzzer writes thousands of small files a second.
SHARED_MEMORY: Final = Path("/dev/shm")
IDENTITY: Final = (
    b'{"node":"n","instance":"i","server":"https://x:1","hub":{"websocket":["wss://x/"]},"runtimes":[],"labels":{}}'
)


@cache
def folder() -> Path:
    """Return the folder that all inputs share."""
    made = Path(tempfile.mkdtemp(prefix="fuzz-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    DataFolder(made).make()
    (made / "good.json").write_bytes(IDENTITY)
    open_database(made / "whole.db")[0].close()
    return made


def one_input(data: bytes) -> None:
    """Let a reader find ``data``."""
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def _run_file(data: bytes) -> None:
    (folder() / RUN_FILE).write_bytes(data)
    read_run_file(folder())


def _settings(data: bytes, load: Callable[[dict[str, object], Path], object]) -> None:
    path = folder() / "settings.yaml"
    path.write_bytes(data)
    told = ""
    try:
        load({"data_dir": folder()}, path)
    except UsageError as error:
        told = str(error)
    assert "\n" not in told


def _cloud_settings(data: bytes) -> None:
    _settings(data, cloud_config.load)


def _edge_settings(data: bytes) -> None:
    _settings(data, edge_config.load)


def _handover(data: bytes) -> None:
    try:
        edge_settings.receive({edge_settings.RESOLVED: data.decode(errors="replace")})
    except UsageError:
        pass


def _identity(data: bytes) -> None:
    DataFolder(folder()).identity.write_bytes(data)
    try:
        load_identity(DataFolder(folder()))
    except UsageError:
        pass


def _link_state(data: bytes) -> None:
    files = DataFolder(folder())
    files.identity.write_bytes(IDENTITY)
    files.link.write_bytes(data)
    status_of(read(folder()))


def _record(data: bytes) -> None:
    try:
        fields = records.decode(data)
    except records.RecordTorn:
        return
    assert records.decode(records.encode(fields)) == fields


def _database(data: bytes) -> None:
    """Write ``data`` over a part of a database; it is read, or set aside and made anew."""
    path = folder() / "db" / "meta.db"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    content = bytearray((folder() / "whole.db").read_bytes())
    at = int.from_bytes(data[:3], "big") % len(content)
    content[at : at + len(data) - 3] = data[3:]
    path.write_bytes(content)
    try:
        read_only(path)
    except sqlite3.Error:
        pass
    try:
        connection, _ = open_database(path)
    except UsageError:
        return
    connection.close()


READERS: Final = (
    _run_file,
    _cloud_settings,
    _edge_settings,
    _handover,
    _identity,
    _link_state,
    _record,
    _database,
)


def seeds() -> Iterable[bytes]:
    """Return a good one of each."""
    yield b'\x00{"pid":1,"ready":true,"ports":{"api_port":6443},"names":["localhost"]}'
    yield b"\x01data_dir: /tmp/x\napi_port: 6443\nnames: [a, b]\nlog_level: info\n"
    yield b"\x02hub: [wss://x:10000]\nlog_level: debug\nmax_pods: 5\n"
    yield b'\x03{"settings":{"data_dir":"/x","hub":[]},"flags":{},"file":""}'
    yield b"\x04" + IDENTITY
    yield b'\x05{"phase":"connected","code":0}'
    yield b"\x06" + records.encode([("pid", "7"), ("start", os.fsdecode(b"\xff"))])
    yield b"\x07\x00\x00\x10" + b"\xff" * 64
    yield b"\x07\x00\x10\x00" + b"\x0d\x00\x00\x00\x01"
    for reader in (0, 3, 4, 5):
        yield bytes([reader]) + b"[" * 2_000
        yield bytes([reader]) + b'{"a":' * 2_000
    yield b"\x01" + b"[" * 400
    yield b"\x02" + b"{a: " * 400
