"""Limits of a store. Every queue has one, and says what happens to the next item."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Bounds of memory and work, the same for every engine.

    Attributes:
        max_pending: Writes waiting for their commit group; the next one is refused with ``TooManyRequests``.
        max_group: Writes in one commit group; the rest wait for the next group.
        max_group_bytes: Encoded bytes in one commit group (one larger object still makes a group of its own).
        revision_block: Revisions reserved on disk at a time. A crash skips what was left of a block.
        history_changes: Changes kept per resource for watchers and for lists at an older revision.
        history_bytes: Encoded bytes of kept changes over all resources; the largest resource gives way first.
        history_age_s: Changes older than this many seconds are compacted away.
        watch_batch: Changes in one ``Progress`` at most, so that no watcher holds the loop for long.
    """

    max_pending: int = 20_000
    max_group: int = 512
    max_group_bytes: int = 4 << 20
    revision_block: int = 65_536
    history_changes: int = 10_000
    history_bytes: int = 64 << 20
    history_age_s: float = 600.0
    watch_batch: int = 1_000
