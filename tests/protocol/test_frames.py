from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from protocol import payloads
from protocol.compression import Codec
from protocol.errors import FrameError
from protocol.frames import (
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SMALL_BYTES,
    CloseCode,
    FrameType,
    codec_of,
    decode_frame,
    encode_frame,
)
from protocol.messages import LATER, Hello, InventoryEntry, Item, Op, Outcome, Resume, Verdict, Welcome
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.payloads import Ack, Fault, Grant, Offer
from tests.support.links import command, delete, put

GOLDEN = Path(__file__).parent / "golden" / "frames.json"
OFFER = Offer(Grant(4096, 1 << 20), frozenset({Codec.NONE, Codec.ZSTD, Codec.SNAPPY}))
WITH_DICTIONARIES = Offer(Grant(4096, 1 << 20), frozenset(Codec), frozenset({40_001}))
NODE = Hello(NodeName("edge-1"), "instance", "incarnation", 41, bytes(range(16)), 3, "0.1.0")
ENTRY = InventoryEntry(put("web").key, put("web").uid, put("web").version)

EXAMPLES: dict[str, tuple[FrameType, int, bytes]] = {
    "hello": (FrameType.HELLO, 0, payloads.encode_hello(NODE, OFFER)),
    "welcome": (
        FrameType.WELCOME,
        42,
        payloads.encode_welcome(Welcome(42, "incarnation", Resume.INVENTORY, 10.0, 10.0), OFFER),
    ),
    "hello with dictionaries": (FrameType.HELLO, 0, payloads.encode_hello(NODE, WITH_DICTIONARIES)),
    "welcome with dictionaries": (
        FrameType.WELCOME,
        42,
        payloads.encode_welcome(Welcome(42, "incarnation", Resume.INVENTORY, 10.0, 10.0), WITH_DICTIONARIES),
    ),
    "error": (FrameType.ERROR, 42, payloads.encode_fault(Fault(CloseCode.TRY_LATER, "busy", 2.5))),
    "goaway": (FrameType.GOAWAY, 42, payloads.encode_number(1.5)),
    "ping": (FrameType.PING, 42, payloads.encode_number(7)),
    "pong": (FrameType.PONG, 42, payloads.encode_number(7)),
    "volatile": (FrameType.VOLATILE, 42, payloads.encode_volatile(7, b"\x81\xa3cpu\x0a")),
    "batch": (FrameType.BATCH, 42, payloads.encode_batch(3, 1, [put("web", 9, body=b"\x80"), delete("old", 8)])),
    "batch with a command": (FrameType.BATCH, 42, payloads.encode_batch(4, 1, [command("id-1")])),
    "batch with its times asked for": (
        FrameType.BATCH,
        42,
        payloads.encode_batch(5, 1, [put("web", 9, body=b"\x80")], timed=True),
    ),
    "ack": (FrameType.ACK, 42, payloads.encode_ack(Ack(300, 300))),
    "ack with times": (
        FrameType.ACK,
        42,
        payloads.encode_ack(Ack(3, 3, (), Grant(4096, 1048576), ((3, 1500, 250),))),
    ),
    "ack with exceptions": (
        FrameType.ACK,
        42,
        payloads.encode_ack(Ack(3, 4, ((3, 0, Verdict.rejected("Invalid", "no")), (3, 1, LATER)), Grant(0, 0))),
    ),
    "nack": (FrameType.NACK, 42, payloads.encode_number(2)),
    "inventory": (FrameType.INVENTORY, 42, payloads.encode_inventory(1, 0, [ENTRY], last=True)),
}


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_wire_has_not_changed(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    kind, epoch, payload = EXAMPLES[name]
    assert encode_frame(kind, epoch, payload).hex() == golden[name]
    frame = decode_frame(bytes.fromhex(golden[name]))
    assert (frame.type, frame.epoch, bytes(frame.payload)) == (kind, epoch, payload)


def test_every_golden_frame_is_checked() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(EXAMPLES)
    assert {kind for kind, _, _ in EXAMPLES.values()} == set(FrameType)


def test_a_usual_ack_is_short_enough_for_the_byte_budget() -> None:
    # 40 bytes at the TLS layer: 22 for the TLS record, 6 for the masked WebSocket frame, 12 are left.
    kind, epoch, payload = EXAMPLES["ack"]
    assert len(encode_frame(kind, epoch, payload)) <= 12


@pytest.mark.parametrize("codec", list(Codec))
@given(payload=st.binary(max_size=3000), epoch=st.integers(0, 2**64))
def test_frames_round_trip(codec: Codec, payload: bytes, epoch: int) -> None:
    data = encode_frame(FrameType.BATCH, epoch, payload, codec)
    assert len(data) <= HEADER_BYTES + len(payload)
    frame = decode_frame(data)
    assert (frame.type, frame.epoch, bytes(frame.payload)) == (FrameType.BATCH, epoch & 0xFFFFFFFF, payload)


def test_a_payload_that_does_not_shrink_goes_as_it_is() -> None:
    assert codec_of(encode_frame(FrameType.BATCH, 1, b"short", Codec.ZSTD)) is Codec.NONE
    assert codec_of(encode_frame(FrameType.BATCH, 1, bytes(999), Codec.ZSTD)) is Codec.ZSTD


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_a_frame_without_a_whole_header_is_malformed(length: int) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(encode_frame(FrameType.PING, 1, b"\x91\x01")[:length])
    assert caught.value.code == CloseCode.MALFORMED_FRAME


def test_a_frame_over_the_limit_is_refused() -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(bytes(MAX_FRAME_BYTES + 1))
    assert caught.value.code == CloseCode.FRAME_TOO_LARGE


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.SNAPPY, Codec.ZSTD_DICTIONARY])
def test_a_decompression_bomb_is_refused(codec: Codec) -> None:
    bomb = encode_frame(FrameType.BATCH, 1, bytes(MAX_PAYLOAD_BYTES + 1), codec)
    assert len(bomb) < MAX_FRAME_BYTES
    with pytest.raises(FrameError) as caught:
        decode_frame(bomb)
    assert caught.value.code == CloseCode.DECOMPRESSION_FAILED
    fitting = encode_frame(FrameType.BATCH, 1, bytes(MAX_PAYLOAD_BYTES), codec)
    assert len(decode_frame(fitting).payload) == MAX_PAYLOAD_BYTES


def test_a_zstd_frame_that_hides_its_size_is_refused() -> None:
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    with pytest.raises(FrameError) as caught:
        decode_frame(bytes([FrameType.BATCH | Codec.ZSTD << 6]) + bytes(4) + hidden)
    assert caught.value.code == CloseCode.DECOMPRESSION_FAILED


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.SNAPPY, Codec.ZSTD_DICTIONARY])
def test_bytes_the_codec_cannot_read_are_refused(codec: Codec) -> None:
    whole = encode_frame(FrameType.BATCH, 1, bytes(2000), codec)
    header = whole[:HEADER_BYTES]
    for data in (
        header,
        header + b"\xff" * 40,
        *(whole[:cut] for cut in range(HEADER_BYTES, len(whole))),
        whole + b"x",
    ):
        with pytest.raises(FrameError) as caught:
            decode_frame(data)
        assert caught.value.code == CloseCode.DECOMPRESSION_FAILED


@given(st.binary(max_size=200))
def test_garbage_is_a_frame_or_a_frame_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except FrameError:
        return
    assert frame.type in FrameType


DECODERS = {
    FrameType.HELLO: payloads.decode_hello,
    FrameType.WELCOME: payloads.decode_welcome,
    FrameType.ERROR: payloads.decode_fault,
    FrameType.GOAWAY: payloads.decode_number,
    FrameType.PING: payloads.decode_number,
    FrameType.PONG: payloads.decode_number,
    FrameType.VOLATILE: payloads.decode_volatile,
    FrameType.BATCH: payloads.decode_batch,
    FrameType.ACK: payloads.decode_ack,
    FrameType.NACK: payloads.decode_number,
    FrameType.INVENTORY: payloads.decode_inventory,
}


def test_payloads_round_trip() -> None:
    decoded = {name: DECODERS[kind](payload) for name, (kind, _, payload) in EXAMPLES.items()}
    assert decoded == {
        "hello": (NODE, OFFER),
        "welcome": (Welcome(42, "incarnation", Resume.INVENTORY, 10.0, 10.0), OFFER),
        "hello with dictionaries": (NODE, WITH_DICTIONARIES),
        "welcome with dictionaries": (Welcome(42, "incarnation", Resume.INVENTORY, 10.0, 10.0), WITH_DICTIONARIES),
        "error": Fault(CloseCode.TRY_LATER, "busy", 2.5),
        "goaway": 1.5,
        "ping": 7,
        "pong": 7,
        "volatile": (7, b"\x81\xa3cpu\x0a"),
        "batch": (3, 1, [put("web", 9, body=b"\x80"), delete("old", 8)], False, 1, False),
        "batch with a command": (4, 1, [command("id-1")], False, len(command("id-1").body), True),
        "batch with its times asked for": (5, 1, [put("web", 9, body=b"\x80")], True, 1, True),
        "ack": Ack(300, 300),
        "ack with times": Ack(3, 3, (), Grant(4096, 1048576), ((3, 1500, 250),)),
        "ack with exceptions": Ack(3, 4, ((3, 0, Verdict.rejected("Invalid", "no")), (3, 1, LATER)), Grant(0, 0)),
        "nack": 2,
        "inventory": (1, 0, True, [ENTRY]),
    }


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_a_truncated_payload_is_malformed_at_every_byte(name: str) -> None:
    kind, _, payload = EXAMPLES[name]
    for cut in range(len(payload)):
        with pytest.raises(FrameError) as caught:
            DECODERS[kind](payload[:cut])
        assert caught.value.code == CloseCode.MALFORMED_FRAME


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_elements_a_later_version_appends_are_ignored(name: str) -> None:
    kind, _, payload = EXAMPLES[name]
    fields = msgpack.unpackb(payload, use_list=False)
    if kind is FrameType.ACK:  # its short forms have no place for more
        assert payloads.decode_ack(msgpack.packb((300, 300, (), 1, 2, (), "more"))).window == Grant(1, 2)
    else:
        unknown = ((), "more") if name in {"hello", "welcome"} else ("more",)  # theirs may end with no dictionaries
        assert DECODERS[kind](msgpack.packb((*fields, *unknown))) == DECODERS[kind](payload)


WRONG = (None, True, -1, 1.5, float("nan"), "text", b"bytes", (), (1,), {"map": 1}, 2**63, ((("x",),),), (None, None))


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_a_field_of_the_wrong_type_is_malformed_or_harmless(name: str) -> None:
    kind, _, payload = EXAMPLES[name]
    fields = msgpack.unpackb(payload, use_list=False)
    refused = 0
    for index in range(len(fields)):
        for wrong in WRONG:
            changed = (*fields[:index], wrong, *fields[index + 1 :])
            try:
                DECODERS[kind](msgpack.packb(changed))
            except FrameError:
                refused += 1
    assert refused >= len(fields) * 5


@given(payload=st.binary(max_size=120), kind=st.sampled_from(FrameType))
def test_no_decoder_raises_anything_but_a_frame_error(payload: bytes, kind: FrameType) -> None:
    for data in (payload, b"\x9a" + payload, b"\x9b" + payload, bytes(memoryview(payload))):
        try:
            DECODERS[kind](data)
        except FrameError:
            continue


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=30,
)


@given(fields=st.lists(VALUES, max_size=12), kind=st.sampled_from(FrameType))
def test_no_well_formed_msgpack_gets_past_the_type_checks(fields: list[object], kind: FrameType) -> None:
    try:
        decoded = DECODERS[kind](msgpack.packb(fields))
    except FrameError:
        return
    assert decoded is not None


def batch_with(**changes: object) -> bytes:
    columns: dict[str, object] = {
        "sequence": 1,
        "confirmed": 0,
        "ops": b"\x00",
        "resources": ["pods"],
        "namespaces": ["default"],
        "names": ["a"],
        "uids": ["u"],
        "versions": [1],
        "bodies": [b""],
        "ids": [],
    }
    packed: bytes = msgpack.packb(list((columns | changes).values()))
    return packed


@pytest.mark.parametrize(
    "changes",
    [
        {"ops": b""},
        {"ops": bytes(payloads.MAX_BATCH_ITEMS + 1)},
        {"ops": b"\x03"},
        {"ops": b"\x02"},
        {"ops": b"\x02", "ids": [""]},
        {"names": ["a", "b"]},
        {"names": [b"a"]},
        {"uids": [None]},
        {"versions": [True]},
        {"versions": ["1"]},
        {"bodies": ["text"]},
        {"bodies": [bytes(3 * 1024 * 1024 + 1)]},
        {"ids": ["x", "y"]},
    ],
)
def test_a_batch_that_breaks_a_rule_is_malformed(changes: dict[str, object]) -> None:
    assert payloads.decode_batch(batch_with())[0] == 1
    with pytest.raises(FrameError) as caught:
        payloads.decode_batch(batch_with(**changes))
    assert caught.value.code == CloseCode.MALFORMED_FRAME


@pytest.mark.parametrize(
    "fields",
    [
        (1, 2),
        (2, 1, ()),
        (1, 2, (), 5),
        (1, 2, ((1, 2, 1, "", ""), 7)),
        (1, 2, ((1, 2, 0, "", ""),)),
        (1, 2, ((1, 2, 3, "", ""),)),
        (1, 2, ((1, 2, 1, ""),)),
    ],
)
def test_an_ack_that_breaks_a_rule_is_malformed(fields: tuple[object, ...]) -> None:
    with pytest.raises(FrameError):
        payloads.decode_ack(msgpack.packb(fields))


def test_an_inventory_chunk_over_the_limit_is_malformed() -> None:
    with pytest.raises(FrameError):
        payloads.decode_inventory(payloads.encode_inventory(1, 0, [ENTRY] * (payloads.INVENTORY_CHUNK + 1), last=True))


LONG_NAME = "n" * payloads.MAX_NAMING_BYTES


def test_a_batch_whose_names_unfold_into_megabytes_is_malformed() -> None:
    item = Item(Op.PUT, ObjectKey("pods", LONG_NAME, LONG_NAME), Uid("u"), Revision(1), b"")
    with pytest.raises(FrameError, match="names of"):
        payloads.decode_batch(payloads.encode_batch(1, 0, [item]))


def test_a_body_makes_no_room_for_longer_names() -> None:
    item = Item(Op.PUT, ObjectKey("pods", LONG_NAME, LONG_NAME), Uid("u"), Revision(1), bytes(100_000))
    with pytest.raises(FrameError, match="names of"):
        payloads.decode_batch(payloads.encode_batch(1, 0, [item]))


def test_the_longest_names_that_kubernetes_allows_fit() -> None:
    key = ObjectKey(f"{'r' * 63}.{'g' * 253}/status", "n" * 63, "p" * 253)
    items = [Item(Op.COMMAND, key, Uid("u" * 36), Revision(2**62), b"", "i" * 300)] * payloads.MAX_BATCH_ITEMS
    assert payloads.decode_batch(payloads.encode_batch(1, 0, items))[2] == items


def test_an_inventory_whose_names_unfold_into_megabytes_is_malformed() -> None:
    entry = InventoryEntry(ObjectKey("pods", LONG_NAME, LONG_NAME), Uid("u"), Revision(1))
    with pytest.raises(FrameError, match="names of"):
        payloads.decode_inventory(payloads.encode_inventory(1, 0, [entry], last=True))


def test_a_hello_of_megabytes_is_malformed() -> None:
    with pytest.raises(FrameError, match="hello of"):
        payloads.decode_hello(payloads.encode_hello(Hello(NodeName("n"), "i" * 2**20, "", 0, bytes(16)), OFFER))


def test_what_a_peer_says_of_itself_is_cut() -> None:
    verdict = Verdict(Outcome.REJECTED, "c" * 2**20, "r" * 2**20)
    (_, _, told) = payloads.decode_ack(payloads.encode_ack(Ack(1, 1, ((1, 0, verdict),)))).exceptions[0]
    assert len(told.code) == payloads.MAX_CODE_CHARACTERS
    assert len(told.reason) == payloads.MAX_REASON_CHARACTERS
    fault = payloads.decode_fault(msgpack.packb((4000, "r" * 2**20, 0)))
    assert len(fault.reason) == payloads.MAX_REASON_CHARACTERS


@pytest.mark.parametrize("digest", [b"", bytes(15), bytes(17)])
def test_a_digest_of_the_wrong_length_is_malformed(digest: bytes) -> None:
    with pytest.raises(FrameError):
        payloads.decode_hello(payloads.encode_hello(Hello(NodeName("n"), "i", "", 0, digest), OFFER))


@pytest.mark.parametrize("version", [0, 2, 2**40])
def test_an_unknown_version_is_told_before_anything_else_is_read(version: int) -> None:
    with pytest.raises(FrameError) as caught:
        payloads.decode_hello(msgpack.packb((version, ["another"], "shape")))
    assert caught.value.code == CloseCode.UNKNOWN_VERSION


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
@pytest.mark.parametrize("kind", [FrameType.HELLO, FrameType.PING, FrameType.VOLATILE, FrameType.ERROR])
def test_a_payload_is_held_to_the_limit_of_its_type(kind: FrameType, codec: Codec) -> None:
    with pytest.raises(FrameError) as refused:
        decode_frame(encode_frame(kind, 1, bytes(MAX_SMALL_BYTES + 1), codec))
    too_large = CloseCode.FRAME_TOO_LARGE if codec is Codec.NONE else CloseCode.DECOMPRESSION_FAILED
    assert refused.value.code == too_large
    decode_frame(encode_frame(kind, 1, bytes(MAX_SMALL_BYTES), codec))


@pytest.mark.parametrize("version", [-1, 1 << 63])
def test_versions_are_numbers_that_disks_can_hold(version: int) -> None:
    item, entry = put("web")._replace(version=Revision(version)), ENTRY._replace(version=Revision(version))
    with pytest.raises(FrameError, match="out of range"):
        payloads.decode_batch(payloads.encode_batch(1, 0, [item]))
    with pytest.raises(FrameError, match="out of range"):
        payloads.decode_inventory(payloads.encode_inventory(1, 0, [entry], last=True))


@pytest.mark.parametrize("interval_s", [0, 1e-9, 1e300])
def test_a_welcome_cannot_ask_for_a_flood_or_for_silence(interval_s: float) -> None:
    for welcome in (Welcome(7, "i", heartbeat_s=interval_s), Welcome(7, "i", keepalive_s=interval_s)):
        with pytest.raises(FrameError, match="out of range"):
            payloads.decode_welcome(payloads.encode_welcome(welcome, OFFER))


def test_epochs_have_an_end() -> None:
    with pytest.raises(FrameError, match="out of range"):
        payloads.decode_welcome(payloads.encode_welcome(Welcome(1 << 63, "i"), OFFER))
    with pytest.raises(FrameError, match="out of range"):
        payloads.decode_hello(payloads.encode_hello(replace(NODE, epoch=1 << 63), OFFER))


def test_ids_are_whole_numbers() -> None:
    with pytest.raises(FrameError, match="whole"):
        payloads.decode_id(payloads.encode_number(1e300))
