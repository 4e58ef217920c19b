"""Inventories and digests: any entries against any slice, added and taken away in any order. Nothing may come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.digest import Digest, difference
from protocol.messages import InventoryEntry
from protocol.objects.keys import ObjectKey, Revision, Uid
from tests.fuzz.bounds import at_most

FACTOR: Final = 256


def one_input(data: bytes) -> None:
    """Read ``data`` as what is held and what is wanted."""
    held_part, _, wanted_part = data.partition(b"\xff")
    held, wanted = entries(held_part), entries(wanted_part)
    with at_most(len(data), FACTOR):
        target = {entry.key: (entry.uid, entry.version) for entry in wanted}
        result = difference(held, target)
    after = {entry.key: (entry.uid, entry.version) for entry in held}
    for gone in result.to_delete:
        if after.get(gone.key, ("", 0))[0] == gone.uid:
            after.pop(gone.key, None)
    after.update({key: target[key] for key in result.to_send})
    if len({entry.key for entry in held}) == len(held):
        assert after == target, "what was sent and deleted makes the one of the other"
    digest = Digest("inc", held)
    backwards = Digest("inc", reversed(held))
    assert digest.value == backwards.value
    for entry in held:
        digest.remove(entry)
    assert (digest.value, digest.count) == (bytes(16), 0)


def entries(data: bytes) -> list[InventoryEntry]:
    """Return entries of four bytes each: few names, so that they meet."""
    return [
        InventoryEntry(
            ObjectKey("pods" if data[at] & 1 else "configmaps", "default", chr(0x61 + data[at] % 32)),
            Uid(str(data[at + 1] % 4)),
            Revision(int.from_bytes(data[at + 2 : at + 4], "big")),
        )
        for at in range(0, len(data) - 3, 4)
    ]


def seeds() -> Iterable[bytes]:
    """Return holdings that are equal, differ, and are empty."""
    some = b"\x01\x01\x00\x01\x02\x01\x00\x02\x03\x01\x00\x03"
    yield from (some + b"\xff" + some, some + b"\xff", b"\xff" + some, some + b"\xff" + some.replace(b"\x03", b"\x09"))
