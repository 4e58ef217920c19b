"""The section ``link`` of both daemons' settings, as the command line checks it.

In the YAML file it is a mapping ``link:``, in the environment ``CLOUDCORE_LINK__LINGER_MS`` (two underscores), on the
command line ``--link-linger-ms``. Both ends have their own: each governs what that end sends, and what it lets the
other have unsettled.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from protocol.compression import Codec, available
from protocol.settings import MAX_WINDOW_ITEMS, LinkOptions

_DEFAULTS = LinkOptions()


class LinkSection(BaseModel):
    """How this end of the link batches, compresses and spares bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    linger_ms: float = Field(
        default=_DEFAULTS.linger_ms,
        ge=0,
        le=1000,
        description="While a batch is in flight, how long the next waits to fill up, milliseconds; "
        "an idle link never waits.",
    )
    batch_bytes: int = Field(
        default=_DEFAULTS.batch_bytes,
        ge=1024,
        le=1024 * 1024,
        description="A batch of this weight goes without waiting, bytes.",
    )
    min_bytes: int = Field(
        default=_DEFAULTS.min_bytes,
        ge=0,
        description="Less than that, and a busy link waits up to link.linger_ms for more, bytes; "
        "0 waits for link.batch_bytes.",
    )
    max_records: int = Field(
        default=_DEFAULTS.max_records,
        ge=1,
        le=MAX_WINDOW_ITEMS,
        description="Items that the other end may hand over before this one has committed some.",
    )
    compression: Literal["zstd", "snappy", "none"] = Field(
        default="zstd", description="How this end compresses what it sends: zstd, snappy or none."
    )
    daily_bytes: int = Field(
        default=_DEFAULTS.daily_bytes,
        ge=0,
        description="Bytes that a node's link may carry per UTC day, both directions together, as far as this end "
        "counts and can help it: bulk stops at 80 %, twins at 95 %, all but leases at 100 %. 0: no cap.",
    )

    @field_validator("compression")
    @classmethod
    def _installed(cls, value: str) -> str:
        if Codec[value.upper()] not in available():
            raise ValueError(f"{value} is not installed here: pip install 'aiokubeedge[{value}]'")
        return value

    @model_validator(mode="after")
    def _least_below_most(self) -> Self:
        if self.min_bytes > self.batch_bytes:
            raise ValueError(f"min_bytes ({self.min_bytes}) is more than batch_bytes ({self.batch_bytes})")
        return self

    @property
    def options(self) -> LinkOptions:
        """The same without pydantic."""
        return LinkOptions(**self.model_dump())


PREFIX = "link_"


def gather_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Return ``flags`` with those of this section (``link_linger_ms``) in a mapping of their own (``link``)."""
    plain = {name: value for name, value in flags.items() if not name.startswith(PREFIX)}
    section = {name.removeprefix(PREFIX): value for name, value in flags.items() if name.startswith(PREFIX)}
    return {**plain, "link": section} if section else plain
