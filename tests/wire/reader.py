"""A reader and writer of the link's frames, written from ``docs/protocol.md`` alone.

It shares no code with ``protocol/``: msgpack, zstandard, cramjam and the standard library are all it uses. What it
makes of the golden frames must be what their descriptions say, and an edge made of it
(:mod:`tests.wire.minimal_edge`) must be taken for one by a real cloud. So it proves that the document says enough,
and is a start for an agent in another language.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cramjam
import msgpack
import zstandard

Json = dict[str, Any]

LIMIT_BYTES: Final = 4 * 1024 * 1024
TYPES: Final = {
    1: "HELLO",
    2: "WELCOME",
    3: "ERROR",
    4: "GOAWAY",
    5: "PING",
    6: "PONG",
    7: "VOLATILE",
    8: "BATCH",
    9: "ACK",
    10: "NACK",
    11: "INVENTORY",
}
FOLDER: Final = Path(__file__).parents[2] / "protocol" / "dictionaries"
DICTIONARIES: Final = {40001: zstandard.ZstdCompressionDict((FOLDER / "kubernetes-1.zdict").read_bytes())}
NUMBERS: Final = {name: number for number, name in TYPES.items()}
OPS: Final = ("put", "delete", "command")
OUTCOMES: Final = ("applied", "rejected", "later")
LOADS: Final = (
    *("cpu", "memory", "disk", "rx_bytes_s", "tx_bytes_s", "pods", "rtt_us", "digest", "unsaved"),
    *("temperature", "gpu", "requests"),
)
METRICS: Final = ("cpu", "memory", "received", "sent", "requests", "gpu")


def read(frame: bytes) -> Json:
    """Return what a frame says."""
    if not 5 <= len(frame) <= LIMIT_BYTES:
        raise ValueError("no frame is so long")
    name, codec = TYPES[frame[0] & 0x3F], frame[0] >> 6
    fields = msgpack.unpackb(decompressed(codec, frame[5:]))
    return {"type": name, "codec": codec, "epoch": int.from_bytes(frame[1:5], "big"), **READERS[name](fields)}


def write(name: str, epoch: int, fields: Sequence[Any]) -> bytes:
    """Return the bytes of an uncompressed frame."""
    payload: bytes = msgpack.packb(list(fields))
    return bytes([NUMBERS[name]]) + (epoch & 0xFFFFFFFF).to_bytes(4, "big") + payload


def decompressed(codec: int, data: bytes) -> bytes:
    """Return a payload as it was before its codec."""
    if codec in {1, 3}:
        if zstandard.frame_content_size(data) > LIMIT_BYTES:
            raise ValueError("it would grow beyond the limit")
        dictionary = DICTIONARIES[zstandard.get_frame_parameters(data).dict_id] if codec == 3 else None
        plain: bytes = zstandard.ZstdDecompressor(dictionary).decompress(data, max_output_size=LIMIT_BYTES)
        return plain
    if codec == 2:
        return bytes(cramjam.snappy.decompress_raw(data))
    return data


def digest(incarnation: str, entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the digest of a holding."""
    key = hashlib.blake2b(incarnation.encode(), digest_size=16).digest()
    total = 0
    for entry in entries:
        parts = (entry[name] for name in ("resource", "namespace", "name", "uid", "version"))
        text = "\0".join(map(str, parts))
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16, key=key).digest(), "big")
    return (total % (1 << 128)).to_bytes(16, "big")


def load_after(before: Mapping[str, int], body: bytes) -> dict[str, int]:
    """Return a node's load as it stands after a heartbeat."""
    moved = msgpack.unpackb(body, strict_map_key=False)
    return {**before, **{LOADS[number]: value for number, value in moved.items() if number < len(LOADS)}}


def reading_field(uid: str, container: str, metric: str) -> int:
    """Return the field number of a reading."""
    mark = int.from_bytes(hashlib.blake2b(f"{uid}\0{container}".encode(), digest_size=4).digest(), "big")
    return (1 << 31) + mark % (1 << 28) * 8 + METRICS.index(metric)


def readings_after(before: Mapping[int, int], body: bytes) -> dict[int, int]:
    """Return the readings of a node's pods as they stand after a heartbeat, by field number."""
    told = {n: v for n, v in msgpack.unpackb(body, strict_map_key=False).items() if n >= 1 << 31}
    return {n: v - 1 for n, v in {**{n: v + 1 for n, v in before.items()}, **told}.items() if v}


def _hello(fields: list[Any]) -> Json:
    names = ("version", "node", "instance", "incarnation", "newest_epoch", "digest", "count", "agent_version")
    read = dict(zip(names, fields, strict=False))
    return {**read, "digest": read["digest"].hex(), **_offer(fields[8:])}


def _welcome(fields: list[Any]) -> Json:
    epoch, incarnation, resume, heartbeat_s, keepalive_s = fields[:5]
    said = {"new_epoch": epoch, "incarnation": incarnation, "resume": ("equal", "inventory")[resume]}
    return {**said, "heartbeat_s": heartbeat_s, "keepalive_s": keepalive_s, **_offer(fields[5:])}


def _offer(fields: list[Any]) -> Json:
    items, weight, codecs, *more = fields
    known = {"codecs": [bit for bit in range(8) if codecs >> bit & 1], "dictionaries": more[0] if more else []}
    return {"window": {"items": items, "bytes": weight}, **known}


def _error(fields: list[Any]) -> Json:
    return {"code": fields[0], "reason": fields[1], "retry_after_s": fields[2]}


def _goaway(fields: list[Any]) -> Json:
    return {"retry_after_s": fields[0]}


def _ping(fields: list[Any]) -> Json:
    return {"id": fields[0]}


def _volatile(fields: list[Any]) -> Json:
    return {"ping": fields[0], "body": fields[1].hex()}


def _batch(fields: list[Any]) -> Json:
    sequence, confirmed, ops, *columns = fields[:10]
    ids = columns.pop() or [""] * len(ops)
    names = ("resource", "namespace", "name", "uid", "version", "body")
    items = [
        {"op": OPS[op], **dict(zip(names, rest, strict=True)), "id": ident}
        for op, ident, *rest in zip(ops, ids, *columns, strict=True)
    ]
    for item in items:
        item["body"] = item["body"].hex()
    return {"sequence": sequence, "confirmed": confirmed, "items": items, "timed": fields[10:11] == [1]}


def _ack(fields: list[Any]) -> Json:
    settled, received, exceptions, items, weight, times = (fields + [None] * 6)[:6]
    names = ("sequence", "index", "outcome", "code", "reason")
    rows = [dict(zip(names, row, strict=True)) for row in exceptions or []]
    return {
        "settled": settled,
        "received": settled if received is None else received,
        "exceptions": [{**row, "outcome": OUTCOMES[row["outcome"]]} for row in rows],
        "window": None if items is None else {"items": items, "bytes": weight},
        "times": [{"sequence": a, "arrived_us": b, "settled_us": c} for a, b, c in times or []],
    }


def _nack(fields: list[Any]) -> Json:
    return {"received": fields[0]}


def _inventory(fields: list[Any]) -> Json:
    sequence, confirmed, last, *columns = fields[:8]
    names = ("resource", "namespace", "name", "uid", "version")
    entries = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return {"sequence": sequence, "confirmed": confirmed, "last": bool(last), "entries": entries}


READERS: Final = {
    "HELLO": _hello,
    "WELCOME": _welcome,
    "ERROR": _error,
    "GOAWAY": _goaway,
    "PING": _ping,
    "PONG": _ping,
    "VOLATILE": _volatile,
    "BATCH": _batch,
    "ACK": _ack,
    "NACK": _nack,
    "INVENTORY": _inventory,
}
