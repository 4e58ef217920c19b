"""Settings of the hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from cloudcore.config import Settings
from cloudcore.hub.pacing import PacingSettings
from protocol.objects.projections import SLICE_RESOURCES
from protocol.settings import LinkSettings


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How the hub treats nodes.

    Attributes:
        link: Batching, windows and time limits of each session's link.
        daily_bytes: Each node's cap of bytes per UTC day, both directions together; 0 for none.
        pacing: How nodes come back.
        heartbeat_s: How often a node shows that it lives, seconds.
        lease_duration_s: What a node's Lease says it is good for, whole seconds.
        close_s: How long a session that ends may take to tell its peer, seconds.
        drain_s: How long a drain waits for items under way to be settled, seconds.
        resources: What of the store makes slices; less than all where the store has not all.
    """

    link: LinkSettings = field(default_factory=LinkSettings)
    daily_bytes: int = 0
    pacing: PacingSettings = field(default_factory=PacingSettings)
    heartbeat_s: float = 10.0
    lease_duration_s: int = 40
    close_s: float = 2.0
    drain_s: float = 2.0
    resources: frozenset[str] = SLICE_RESOURCES

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the hub's share of the daemon's settings."""
        return cls(
            link=settings.link.options.settings(),
            daily_bytes=settings.link.daily_bytes,
            heartbeat_s=settings.heartbeat_s,
            lease_duration_s=round(settings.node_grace_s),
        )
