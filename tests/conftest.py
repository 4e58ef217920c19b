"""Settings of the whole suite: how many examples Hypothesis tries; and what all of it may share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.dockers import DockerEngine

# `make check` looks for the mistakes of the last hour; `make test`, with Hypothesis' own number, for the rare ones.
settings.register_profile("quick", max_examples=25)


@pytest.fixture(scope="session")
def docker() -> Iterator[DockerEngine]:
    """A Docker Engine of the tests' own."""
    from tests.support.dockers import docker_engine  # noqa: PLC0415 - its client is slow to load

    with docker_engine() as engine:
        yield engine
