from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecore.node.timefloor import TimeFloor

PROVEN = 1_790_000_000.0


@dataclass
class Clocks:
    path: Path
    wall: float = 7.0
    monotonic: float = 100.0

    def floor(self) -> TimeFloor:
        return TimeFloor(self.path, wall=lambda: self.wall, monotonic=lambda: self.monotonic)


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    return Clocks(tmp_path / "clock.json")


def test_a_clock_that_is_behind_is_taken_to_stand_at_the_floor_and_go_on(clocks: Clocks) -> None:
    floor = clocks.floor()
    assert floor.now() == 7.0
    floor.learn(PROVEN)
    clocks.monotonic += 60
    assert floor.now() == PROVEN + 60


def test_a_clock_that_is_ahead_counts_and_raises_nothing(clocks: Clocks) -> None:
    floor = clocks.floor()
    floor.learn(PROVEN)
    clocks.wall = 2 * PROVEN
    assert (floor.now(), floor.floor) == (2 * PROVEN, PROVEN)
    clocks.wall = PROVEN + 5
    assert floor.now() == PROVEN + 5


def test_what_was_proven_is_known_after_a_restart_and_never_less(clocks: Clocks) -> None:
    clocks.floor().learn(PROVEN)
    again = clocks.floor()
    again.learn(PROVEN - 1e6)
    assert again.now() == PROVEN
    assert clocks.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [b"", b"17", b"[", b'"x"', b"\xff"])
def test_a_file_that_makes_no_sense_proves_nothing(clocks: Clocks, torn: bytes) -> None:
    clocks.path.write_bytes(torn)
    assert clocks.floor().now() >= 7.0


def test_a_disk_that_refuses_keeps_nobody_from_learning(tmp_path: Path) -> None:
    (tmp_path / "clock.json").mkdir()
    floor = Clocks(tmp_path / "clock.json").floor()
    floor.learn(PROVEN)
    assert floor.now() == PROVEN
