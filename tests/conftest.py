"""Settings of the whole suite: how many examples Hypothesis tries."""

from __future__ import annotations

from hypothesis import settings

# `make check` looks for the mistakes of the last hour; `make test`, with Hypothesis' own number, for the rare ones.
settings.register_profile("quick", max_examples=25)
