"""What ``edgecore writes`` shows: pods' writes that wait for the cloud, and those it refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecore.metaserver.writefolder import WriteFolder
from edgecore.metaserver.writes import Write
from protocol.objects.times import timestamp


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return a row for each write in ``folder``, the waiting ones first, oldest first. Bodies are not shown."""
    pending, refused = WriteFolder(folder).load()
    known = {each.write.id for each in refused}
    waiting = [_row(write, "waiting", "") for write in pending if write.id not in known]
    return [*waiting, *(_row(each.write, "refused", f"{each.reason}: {each.message}") for each in refused)]


def _row(write: Write, state: str, why: str) -> dict[str, Any]:
    what = f"{write.key}/{write.subresource}" if write.subresource else str(write.key)
    return {
        "id": write.id,
        "at": timestamp(write.at),
        "pod": f"{write.author.namespace}/{write.author.pod}",
        "account": write.author.account,
        "verb": write.verb,
        "object": what,
        "state": state,
        "reason": why,
    }
