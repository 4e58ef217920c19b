"""Settings of a link; both ends have their own, and what must agree is exchanged in the handshake."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.backoff import LATER, STANDARD, RetryPolicy
from protocol.compression import Codec
from protocol.payloads import Grant

MAX_INVENTORY = 50_000
"""Nodes hold no more objects, and no inventory names more: what is not wanted of it is deleted one by one."""

MAX_WINDOW_ITEMS = 4096
"""More cannot be granted: an ack that rejects a whole window must fit a frame."""

_MAX_BATCHES = 4
"""What waits when a batch goes may be more than it was to be filled to: so many times that goes in one."""

DEFAULT_WINDOW = Grant(items=MAX_WINDOW_ITEMS, weight=1024 * 1024)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a link batches, compresses and waits.

    Attributes:
        linger_s: While a batch is in flight, how long the next waits to fill up, seconds.
        batch_bytes: What a batch is filled to while others are in flight; one of this weight goes without waiting.
        min_bytes: While a batch is in flight, one of this weight goes without waiting; 0: of ``batch_bytes``.
        max_batch_bytes: No batch weighs more, a single larger item aside.
        max_batch_items: No batch holds more items; at most ``MAX_BATCH_ITEMS``.
        codec: Compression of what this side sends, if the peer reads it.
        compress_above_bytes: Shorter payloads go uncompressed.
        dictionary_above_bytes: The same where both ends have a dictionary.
        compression_level: zstd's level.
        window: What this side lets the peer have unsettled.
        burst_bytes: One ``data_to_send`` returns about this much; the rest comes with the next call.
        handshake_s: The handshake takes no longer, seconds.
        dead_s: A peer silent for so long is dead, seconds.
        keepalive_s: Silence after which to ping, seconds; on the edge, the welcome's value replaces it. Longer than
            the time between heartbeats, which are pings themselves: equal to it, most would be doubled.
        floor_bytes_s: No link that is of use is slower, bytes per second: what is under way is given that much time.
        redelivery: When to send again what was not received, and when to give up.
        later: When to send again what the peer wants later.
        max_inventory: An inventory of more entries closes the session.
        max_inventory_bytes: So does one that takes more bytes on the wire, decompressed.
    """

    linger_s: float = 0.020
    batch_bytes: int = 32 * 1024
    min_bytes: int = 0
    max_batch_bytes: int = 128 * 1024
    max_batch_items: int = 512
    codec: Codec = Codec.ZSTD
    compress_above_bytes: int = 256
    dictionary_above_bytes: int = 64
    compression_level: int = 1
    window: Grant = DEFAULT_WINDOW
    burst_bytes: int = 256 * 1024
    handshake_s: float = 10.0
    dead_s: float = 15.0
    keepalive_s: float = 12.0
    floor_bytes_s: float = 2048.0
    redelivery: RetryPolicy = STANDARD
    later: RetryPolicy = LATER
    max_inventory: int = MAX_INVENTORY
    max_inventory_bytes: int = 16 * 1024 * 1024

    @property
    def busy_bytes(self) -> int:
        """From which weight on a batch goes without waiting while another is in flight."""
        return min(self.min_bytes, self.batch_bytes) if self.min_bytes else self.batch_bytes


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What of a link its operator may set, in the operator's units; :mod:`protocol.linkconfiguration` documents each.

    Attributes:
        linger_ms: While a batch is in flight, how long the next may wait to fill up, milliseconds.
        batch_bytes: What a batch is filled to.
        min_bytes: While a batch is in flight, from which weight on the next goes without waiting; 0: ``batch_bytes``.
        max_records: Items that the peer may have unsettled here, and so hand over at once.
        compression: ``zstd``, ``snappy`` or ``none``.
        daily_bytes: Cap of bytes per UTC day; 0 for none.
    """

    linger_ms: float = 20.0
    batch_bytes: int = 32 * 1024
    min_bytes: int = 0
    max_records: int = MAX_WINDOW_ITEMS
    compression: str = "zstd"
    daily_bytes: int = 0

    def settings(self) -> LinkSettings:
        """Return the settings of a link under these options."""
        return LinkSettings(
            linger_s=self.linger_ms / 1000,
            batch_bytes=self.batch_bytes,
            min_bytes=self.min_bytes,
            max_batch_bytes=_MAX_BATCHES * self.batch_bytes,
            codec=Codec[self.compression.upper()],
            window=Grant(self.max_records, DEFAULT_WINDOW.weight),
        )
