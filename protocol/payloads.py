"""The payload of each frame type: msgpack arrays, items in columns.

Columns (all keys' resources, then all namespaces, …) are packed and unpacked by C code without a Python step per
item, compress better than rows, and let the types of a whole column be checked at once. Decoders trust nothing:
whatever is not exactly of the documented shape raises :class:`~protocol.errors.FrameError`. Trailing elements that
this version does not know are ignored, so that later versions may append some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import msgpack

from protocol.compression import Codec
from protocol.errors import FrameError
from protocol.frames import MAX_BODY_BYTES, CloseCode
from protocol.messages import (
    PROTOCOL_VERSION,
    Hello,
    InventoryEntry,
    Item,
    Op,
    Outcome,
    Resume,
    Verdict,
    Welcome,
)
from protocol.objects.keys import NodeName, ObjectKey

MAX_BATCH_ITEMS = 1024
"""No batch holds more items, so that an ack that rejects them all fits its frame."""
INVENTORY_CHUNK = 1000
"""Entries per inventory frame; with the longest names Kubernetes allows a chunk stays below 1 MiB."""
MAX_NAMING_BYTES = 1024
"""What names an item (resource, namespace, name, uid, version, id) is no longer; the longest Kubernetes allows fit.
Without it a frame of a few bytes could unfold into names of megabytes, which no window counts."""
MAX_HELLO_BYTES = 4096
MAX_NUMBER = (1 << 63) - 1
"""Epochs and versions are no larger: both sides keep them in signed columns of 64 bits."""
INTERVALS_S = (0.01, 1e7)
"""What a welcome may ask for between heartbeats and before pings: less is a flood, more no timer holds."""
MAX_CODE_CHARACTERS = 64
MAX_REASON_CHARACTERS = 512
DIGEST_BYTES = 16

Buffer = bytes | memoryview

_new_key = partial(tuple.__new__, ObjectKey)
_new_item = partial(tuple.__new__, Item)
_new_entry = partial(tuple.__new__, InventoryEntry)
_OPS = tuple(Op)
_OUTCOMES = tuple(Outcome)
_RESUMES = tuple(Resume)
_NUMBER = (int, float)
_INFINITY = float("inf")
_packer = msgpack.Packer(use_bin_type=True, autoreset=True)
_pack: Callable[[object], bytes] = _packer.pack


class Grant(NamedTuple):
    """What a receiver lets its peer have unsettled at once.

    Attributes:
        items: Number of items.
        weight: Bytes: bodies plus a fixed overhead per item (``protocol.outbox.weight_of``).
    """

    items: int
    weight: int


class Offer(NamedTuple):
    """What each side states for the session in its half of the handshake.

    Attributes:
        window: The first grant.
        codecs: What this side can decompress.
        dictionaries: Numbers of the dictionaries it has for that; none is named by a peer of an earlier release.
    """

    window: Grant
    codecs: frozenset[Codec]
    dictionaries: frozenset[int] = frozenset()


class Ack(NamedTuple):
    """An acknowledgement.

    Attributes:
        settled: Every sequenced frame up to this number is settled.
        received: Every sequenced frame up to this number has arrived, settled or not.
        exceptions: Verdicts other than applied: (sequence number, index in the batch, verdict).
        window: A new grant, or None where it has not changed.
        times: Of frames whose sender asked for it: (sequence number, microseconds since it arrived, microseconds since
            it was settled), both as of this ack.
    """

    settled: int
    received: int
    exceptions: tuple[tuple[int, int, Verdict], ...] = ()
    window: Grant | None = None
    times: tuple[tuple[int, int, int], ...] = ()


class Fault(NamedTuple):
    """Why a side ends the session, as an error frame says it."""

    code: int
    reason: str
    retry_after_s: float = 0.0


class Batch(NamedTuple):
    """A decoded batch.

    Attributes:
        sequence: Its number.
        confirmed: The sender has processed acks up to this number.
        items: At least one.
        timed: Whether the sender asks when it arrived and was settled.
        body_bytes: All bodies together.
        alike: Whether all items have one operation and one resource.
    """

    sequence: int
    confirmed: int
    items: list[Item]
    timed: bool
    body_bytes: int
    alike: bool


def malformed(what: str) -> FrameError:
    """Return the error for a payload that is not of its documented shape."""
    return FrameError(CloseCode.MALFORMED_FRAME, what)


def _unpack(data: Buffer, minimum: int) -> tuple[Any, ...]:
    try:
        fields = msgpack.unpackb(data, use_list=False, max_map_len=0, max_ext_len=0)
    except (ValueError, TypeError) as exc:  # msgpack's own errors and bad UTF-8 are ValueErrors
        raise malformed(f"payload is not msgpack: {exc}") from exc
    if type(fields) is not tuple or len(fields) < minimum:
        raise malformed(f"payload is not an array of at least {minimum}")
    return fields


def _check(what: str, fields: Sequence[Any], *types: type | tuple[type, ...]) -> None:
    for index, (field, wanted) in enumerate(zip(fields, types, strict=False)):
        if not isinstance(field, wanted) or isinstance(field, bool):
            raise malformed(f"{what}: field {index} has the wrong type {type(field).__name__}")
        if isinstance(field, _NUMBER) and not 0 <= field < _INFINITY:  # catches NaN too
            raise malformed(f"{what}: field {index} is negative or not finite")


def encode_hello(hello: Hello, offer: Offer) -> bytes:
    """Encode the edge's half of the handshake; the version comes first, whatever follows."""
    return _pack(
        (
            hello.protocol_version,
            hello.node,
            hello.instance,
            hello.incarnation,
            hello.epoch,
            hello.digest,
            hello.count,
            hello.agent_version,
            *_offer_fields(offer),
        )
    )


def decode_hello(data: Buffer) -> tuple[Hello, Offer]:
    """Decode a hello.

    Raises:
        FrameError: With ``UNKNOWN_VERSION`` where only the version could be read, ``MALFORMED_FRAME`` otherwise.
    """
    fields = _unpack(data, 1)
    if type(fields[0]) is int and fields[0] != PROTOCOL_VERSION:
        raise FrameError(
            CloseCode.UNKNOWN_VERSION, f"protocol version {fields[0]} is not spoken here, {PROTOCOL_VERSION} is"
        )
    if len(data) > MAX_HELLO_BYTES:
        raise malformed(f"hello of {len(data)} bytes, limit {MAX_HELLO_BYTES}")
    _check("hello", fields, int, str, str, str, int, bytes, int, str, int, int, int)
    if len(fields) < 11 or len(fields[5]) != DIGEST_BYTES or fields[4] > MAX_NUMBER:
        raise malformed("hello: fields are missing, the digest has the wrong length or the epoch is out of range")
    version, node, instance, incarnation, epoch, digest, count, agent_version = fields[:8]
    hello = Hello(NodeName(node), instance, incarnation, epoch, digest, count, agent_version, version)
    return hello, _offer_of(fields[8:12])


def encode_welcome(welcome: Welcome, offer: Offer) -> bytes:
    """Encode the cloud's half of the handshake."""
    return _pack(
        (
            welcome.epoch,
            welcome.incarnation,
            int(welcome.resume),
            welcome.heartbeat_s,
            welcome.keepalive_s,
            *_offer_fields(offer),
        )
    )


def decode_welcome(data: Buffer) -> tuple[Welcome, Offer]:
    """Decode a welcome.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 8)
    _check("welcome", fields, int, str, int, _NUMBER, _NUMBER, int, int, int)
    epoch, incarnation, resume, heartbeat_s, keepalive_s = fields[:5]
    lowest, highest = INTERVALS_S
    intervals = (heartbeat_s, keepalive_s)
    if resume >= len(_RESUMES) or epoch > MAX_NUMBER or min(intervals) < lowest or max(intervals) > highest:
        raise malformed("welcome: a value is out of range")
    return Welcome(epoch, incarnation, _RESUMES[resume], heartbeat_s, keepalive_s), _offer_of(fields[5:9])


def _offer_fields(offer: Offer) -> tuple[Any, ...]:
    fields = (offer.window.items, offer.window.weight, sum(1 << codec for codec in offer.codecs))
    return (*fields, sorted(offer.dictionaries)) if offer.dictionaries else fields


def _offer_of(fields: Sequence[Any]) -> Offer:
    items, weight, codecs, *more = fields
    dictionaries = more[0] if more else ()
    if type(dictionaries) is not tuple or not {int}.issuperset(map(type, dictionaries)):
        raise malformed("handshake: the dictionaries are not a list of numbers")
    return Offer(
        Grant(items, weight), frozenset(codec for codec in Codec if codecs >> codec & 1), frozenset(dictionaries)
    )


def encode_batch(sequence: int, confirmed: int, items: Sequence[Item], *, timed: bool = False) -> bytes:
    """Encode a batch.

    Args:
        sequence: Its number.
        confirmed: The sender has processed acks up to this number; the receiver may forget their exceptions.
        items: At least one item.
        timed: Whether the receiver is asked when the batch arrived and was settled.
    """
    ops, keys, uids, versions, bodies, ids = zip(*items, strict=True)
    resources, namespaces, names = zip(*keys, strict=True)
    columns = (bytes(ops), resources, namespaces, names, uids, versions, bodies, ids if any(ids) else ())
    return _pack((sequence, confirmed, *columns, 1) if timed else (sequence, confirmed, *columns))


def decode_batch(data: Buffer) -> Batch:
    """Decode a batch.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 10)
    _check("batch", fields, int, int, bytes)
    sequence, confirmed, ops, resources, namespaces, names, uids, versions, bodies, ids = fields[:10]
    count = len(ops)
    if not 0 < count <= MAX_BATCH_ITEMS:
        raise malformed(f"batch of {count} items")
    _check_texts("batch", count, resources, namespaces, names, uids, *((ids,) if ids else ()))
    _check_versions("batch", count, versions)
    _check_columns("batch", count, bytes, bodies)
    sizes = list(map(len, bodies))
    if max(ops) >= len(_OPS) or max(sizes) > MAX_BODY_BYTES:
        raise malformed("batch: unknown operation or a body over the limit")
    body_bytes = sum(sizes)
    _check_naming("batch", len(data) - body_bytes, count)
    same_op = ops.count(ops[0]) == count
    each_op = repeat(_OPS[ops[0]], count) if same_op else map(_OPS.__getitem__, ops)
    keys = map(_new_key, zip(resources, namespaces, names, strict=True))
    columns = zip(each_op, keys, uids, versions, bodies, ids or repeat("", count), strict=True)
    items = list(map(_new_item, columns))
    if Op.COMMAND in ops and not all(item.id for item in items if item.op is Op.COMMAND):
        raise malformed("batch: a command without an id")
    alike = same_op and resources.count(resources[0]) == count  # cheap here, where the columns still are
    return Batch(sequence, confirmed, items, len(fields) > 10 and fields[10] == 1, body_bytes, alike)


def _check_texts(what: str, count: int, *columns: Any) -> None:
    for column in columns:
        if type(column) is not tuple or len(column) != count:
            raise malformed(f"{what}: a column is not {count} texts")
        try:
            "".join(column)  # looks at each type in C; a set of the types takes four times as long
        except TypeError as exc:
            raise malformed(f"{what}: a column is not {count} texts") from exc


def _check_columns(what: str, count: int, wanted: type, *columns: Any) -> None:
    only = {wanted}
    for column in columns:
        if type(column) is not tuple or len(column) != count or set(map(type, column)) != only:
            raise malformed(f"{what}: a column is not {count} values of {wanted.__name__}")


def _check_versions(what: str, count: int, versions: Any) -> None:
    _check_columns(what, count, int, versions)
    if min(versions) < 0 or max(versions) > MAX_NUMBER:
        raise malformed(f"{what}: a version is out of range")


def _check_naming(what: str, size_bytes: int, count: int) -> None:
    if size_bytes > (count + 1) * MAX_NAMING_BYTES:
        raise malformed(f"{what}: names of {size_bytes} bytes for {count} items")


def encode_inventory(sequence: int, confirmed: int, entries: Sequence[InventoryEntry], *, last: bool) -> bytes:
    """Encode one chunk of an inventory; an empty inventory is one empty chunk."""
    keys, uids, versions = zip(*entries, strict=True) if entries else ((), (), ())
    resources, namespaces, names = zip(*keys, strict=True) if keys else ((), (), ())
    return _pack((sequence, confirmed, int(last), resources, namespaces, names, uids, versions))


def decode_inventory(data: Buffer) -> tuple[int, int, bool, list[InventoryEntry]]:
    """Decode one chunk of an inventory: number, confirmed, whether it is the last, entries.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 8)
    _check("inventory", fields, int, int, int, tuple)
    sequence, confirmed, last, resources, namespaces, names, uids, versions = fields[:8]
    count = len(resources)
    if count > INVENTORY_CHUNK:
        raise malformed(f"inventory chunk of {count} entries")
    _check_naming("inventory", len(data), count)
    if count:
        _check_texts("inventory", count, resources, namespaces, names, uids)
        _check_versions("inventory", count, versions)
        keys = map(_new_key, zip(resources, namespaces, names, strict=True))
        return sequence, confirmed, bool(last), list(map(_new_entry, zip(keys, uids, versions, strict=True)))
    return sequence, confirmed, bool(last), []


def encode_ack(ack: Ack) -> bytes:
    """Encode an ack; what has its default value is left out, so that most acks are three bytes."""
    fields: tuple[Any, ...] = (ack.settled,)
    if ack.received != ack.settled or ack.exceptions or ack.window:
        exceptions = [(seq, index, int(v.outcome), v.code, v.reason) for seq, index, v in ack.exceptions]
        fields = (ack.settled, ack.received, exceptions, *(ack.window or ()))
        if ack.window and ack.times:  # they stand behind the window
            fields += (ack.times,)
    return _pack(fields)


def decode_ack(data: Buffer) -> Ack:
    """Decode an ack.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 1)
    _check("ack", fields, int, int, tuple, int, int, tuple)
    if len(fields) == 1:
        return Ack(fields[0], fields[0])
    if len(fields) in (2, 4) or fields[1] < fields[0]:
        raise malformed("ack: fields are missing or received is below settled")
    exceptions = tuple(_exceptions(fields[2]))
    if len(fields) < 5:
        return Ack(fields[0], fields[1], exceptions)
    times = tuple(_times(fields[5])) if len(fields) > 5 else ()
    return Ack(fields[0], fields[1], exceptions, Grant(fields[3], fields[4]), times)


def _times(rows: Iterable[Any]) -> Iterable[tuple[int, int, int]]:
    for row in rows:
        if type(row) is not tuple or len(row) != 3:
            raise malformed("ack: a time is not three values")
        _check("ack", row, int, int, int)
        yield row


def _exceptions(rows: Iterable[Any]) -> Iterable[tuple[int, int, Verdict]]:
    for row in rows:
        if type(row) is not tuple or len(row) != 5:
            raise malformed("ack: an exception is not five values")
        _check("ack", row, int, int, int, str, str)
        if not 0 < row[2] < len(_OUTCOMES):
            raise malformed("ack: unknown outcome")
        code, reason = row[3][:MAX_CODE_CHARACTERS], row[4][:MAX_REASON_CHARACTERS]
        yield row[0], row[1], Verdict(_OUTCOMES[row[2]], code, reason)


def encode_fault(fault: Fault) -> bytes:
    """Encode an error frame; the reason is cut at 512 characters."""
    return _pack((int(fault.code), fault.reason[:MAX_REASON_CHARACTERS], fault.retry_after_s))


def decode_fault(data: Buffer) -> Fault:
    """Decode an error frame.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 3)
    _check("error", fields, int, str, _NUMBER)
    code, reason, retry_after_s = fields[:3]
    return Fault(code, reason[:MAX_REASON_CHARACTERS], retry_after_s)


def encode_number(value: float) -> bytes:
    """Encode a payload of one number: pings (an id), go-aways (seconds)."""
    return _pack((value,))


def decode_number(data: Buffer) -> float:
    """Decode a payload of one number.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 1)
    _check("number", fields, _NUMBER)
    value: float = fields[0]
    return value


def decode_id(data: Buffer) -> int:
    """Decode a payload of one whole number: pings, pongs, nacks.

    Raises:
        FrameError: It is malformed.
    """
    number = decode_number(data)
    if type(number) is not int:
        raise malformed("number: it is not whole")
    return number


def encode_volatile(ping: int, body: bytes) -> bytes:
    """Encode a volatile frame; ``ping`` other than 0 asks for a pong, so that heartbeats keep the link alive."""
    return _pack((ping, body))


def decode_volatile(data: Buffer) -> tuple[int, bytes]:
    """Decode a volatile frame: ping id (0 for none) and body.

    Raises:
        FrameError: It is malformed.
    """
    fields = _unpack(data, 2)
    _check("volatile", fields, int, bytes)
    return fields[0], fields[1]
