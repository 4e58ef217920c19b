from __future__ import annotations

import os

import pytest

from protocol.compression import Codec
from protocol.dictionaries import FIRST_ID
from protocol.frames import FrameType, codec_of, decode_frame
from protocol.framing import FrameWriter
from protocol.settings import LinkSettings

LONG = b"a manifest repeats itself " * 200


def test_frames_come_out_in_order_once_and_carry_the_epoch() -> None:
    frames = FrameWriter(LinkSettings())
    frames.emit(FrameType.HELLO, b"1")
    frames.epoch = 7
    frames.emit(FrameType.BATCH, b"2")
    taken = frames.take()
    decoded = [decode_frame(frame) for frame in taken]
    assert [(frame.type, frame.epoch, bytes(frame.payload)) for frame in decoded] == [
        (FrameType.HELLO, 0, b"1"),
        (FrameType.BATCH, 7, b"2"),
    ]
    assert frames.bytes_handed_out == sum(map(len, taken))
    assert frames.take() == []


def test_nothing_is_compressed_before_the_peer_has_said_what_it_reads() -> None:
    frames = FrameWriter(LinkSettings())
    frames.emit(FrameType.BATCH, LONG)
    frames.agree({Codec.ZSTD})
    frames.emit(FrameType.BATCH, LONG)
    frames.emit(FrameType.BATCH, b"short")
    assert [codec_of(frame) for frame in frames.take()] == [Codec.NONE, Codec.ZSTD, Codec.NONE]


def test_a_peer_that_reads_no_codec_of_ours_gets_none() -> None:
    frames = FrameWriter(LinkSettings(codec=Codec.SNAPPY))
    frames.agree(set())
    frames.emit(FrameType.BATCH, LONG)
    assert codec_of(frames.take()[0]) is Codec.NONE


def test_who_wants_no_compression_does_none() -> None:
    frames = FrameWriter(LinkSettings(codec=Codec.NONE))
    frames.agree({Codec.ZSTD})
    frames.emit(FrameType.BATCH, LONG)
    assert codec_of(frames.take()[0]) is Codec.NONE


def test_what_does_not_shrink_is_not_tried_again_at_once() -> None:
    frames = FrameWriter(LinkSettings())
    frames.agree({Codec.ZSTD})
    frames.emit(FrameType.BATCH, os.urandom(4000))
    for _ in range(9):
        frames.emit(FrameType.BATCH, LONG)
    assert [codec_of(frame) for frame in frames.take()] == [Codec.NONE] * 9 + [Codec.ZSTD]


def test_a_dictionary_is_used_if_both_ends_have_it() -> None:
    frames = FrameWriter(LinkSettings())
    frames.agree({Codec.ZSTD, Codec.ZSTD_DICTIONARY}, {FIRST_ID, FIRST_ID + 1})
    frames.emit(FrameType.BATCH, LONG[:100])
    (frame,) = frames.take()
    assert codec_of(frame) is Codec.ZSTD_DICTIONARY
    assert decode_frame(frame).payload == LONG[:100]


@pytest.mark.parametrize(
    ("codecs", "dictionaries"),
    [
        ({Codec.ZSTD}, {FIRST_ID}),
        ({Codec.ZSTD, Codec.ZSTD_DICTIONARY}, set[int]()),
        ({Codec.ZSTD, Codec.ZSTD_DICTIONARY}, {FIRST_ID + 1}),
    ],
)
def test_a_peer_without_our_dictionary_gets_plain_zstd(codecs: set[Codec], dictionaries: set[int]) -> None:
    frames = FrameWriter(LinkSettings())
    frames.agree(codecs, dictionaries)
    frames.emit(FrameType.BATCH, LONG)
    assert codec_of(frames.take()[0]) is Codec.ZSTD
