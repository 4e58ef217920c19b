"""Makes frames of payloads: the session's epoch, the codec both sides speak, and what has not been written yet."""

from __future__ import annotations

from collections.abc import Collection, Container

from protocol.compression import Codec, available
from protocol.dictionaries import KNOWN
from protocol.frames import FrameType, codec_of, encode_frame
from protocol.settings import LinkSettings

_SKIP_AFTER_INCOMPRESSIBLE = 8


class FrameWriter:
    """One link's outgoing frames, in order.

    Args:
        settings: Which codec to use, and from which size on.

    Attributes:
        epoch: Goes into each frame; 0 until the session is open.
        pending: Frames that were not taken yet.
        bytes_handed_out: Bytes of all frames taken so far.
    """

    __slots__ = (
        "_above_bytes",
        "_codec",
        "_dictionary",
        "_incompressible",
        "_settings",
        "bytes_handed_out",
        "epoch",
        "pending",
    )

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._codec = Codec.NONE
        self._dictionary = 0
        self._above_bytes = settings.compress_above_bytes
        self._incompressible = 0
        self.epoch = 0
        self.pending: list[bytes] = []
        self.bytes_handed_out = 0

    def agree(self, codecs: Container[Codec], dictionaries: Collection[int] = ()) -> None:
        """Compress from now on, by the codec that is set or else by zstd, if the peer reads one of ``codecs``.

        zstd takes the newest dictionary that is one of the peer's ``dictionaries`` and known here.
        """
        wanted = self._settings.codec
        if wanted is Codec.SNAPPY and wanted in codecs and wanted in available():
            self._codec = wanted
        elif wanted is not Codec.NONE:
            self._dictionary = max(KNOWN.intersection(dictionaries), default=0)
            if self._dictionary and Codec.ZSTD_DICTIONARY in codecs:
                self._codec = Codec.ZSTD_DICTIONARY
                self._above_bytes = self._settings.dictionary_above_bytes
            elif Codec.ZSTD in codecs:
                self._codec = Codec.ZSTD

    def emit(self, kind: FrameType, payload: bytes) -> int:
        """Add a frame and return its size, bytes."""
        if self._codec is Codec.NONE or len(payload) <= self._above_bytes:
            frame = encode_frame(kind, self.epoch, payload)
        elif self._incompressible:
            self._incompressible -= 1
            frame = encode_frame(kind, self.epoch, payload)
        else:
            level = self._settings.compression_level
            frame = encode_frame(kind, self.epoch, payload, self._codec, level=level, dictionary=self._dictionary)
            # Bodies that are compressed or encrypted already come in series; what is short may just be short.
            if codec_of(frame) is Codec.NONE and len(payload) > self._settings.compress_above_bytes:
                self._incompressible = _SKIP_AFTER_INCOMPRESSIBLE
        self.pending.append(frame)
        return len(frame)

    def take(self) -> list[bytes]:
        """Hand out what is pending."""
        frames, self.pending = self.pending, []
        self.bytes_handed_out += sum(map(len, frames))
        return frames
