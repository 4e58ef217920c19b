"""The fuzzer's targets with the inputs that are known, and a few of Hypothesis': they run where atheris is missing."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import registry
from tests.fuzz.bounds import Measuring, at_most

NAMES = registry.names()


def test_every_target_is_found() -> None:
    assert {"frames", "link", "compression", "bodies", "enrolment", "apibodies", "patches"} <= set(NAMES)


def test_every_regression_is_of_a_target() -> None:
    assert {path.name.partition("-")[0] for path in registry.REGRESSIONS.glob("[!.]*")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_known_inputs_are_read(name: str) -> None:
    target = registry.load(name)
    inputs = registry.inputs(name)
    assert inputs
    for data in inputs:
        target.one_input(data)


@pytest.mark.parametrize("name", NAMES)
def test_known_inputs_are_read_when_damaged(name: str) -> None:
    target, rng = registry.load(name), Random(name)
    for data in registry.inputs(name)[:20]:
        for changed in damaged(data, rng):
            target.one_input(changed)


def damaged(data: bytes, rng: Random) -> Iterator[bytes]:
    """Yield the input cut short, with bytes changed, and with a part of it twice."""
    at = rng.randrange(len(data) + 1)
    yield data[:at]
    yield data[:at] + data[at // 2 :]
    changed = bytearray(data)
    for _ in range(min(3, len(changed))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    yield bytes(changed)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=256))
def test_any_bytes_are_read(name: str, data: bytes) -> None:
    registry.load(name).one_input(data)


def test_who_allocates_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Measuring, "every", 1)
    with at_most(1 << 20, 2, floor_bytes=1 << 20):
        bytes(2 << 20)
    with pytest.raises(AssertionError, match="are allowed"), at_most(1 << 20, 2, floor_bytes=0):
        bytes(4 << 20)
