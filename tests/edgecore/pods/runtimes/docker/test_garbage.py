from __future__ import annotations

from pathlib import Path

import pytest

from edgecore.pods.runtimes.docker.garbage import Ages, Candidate, Disk, measure, plan
from edgecore.pods.runtimes.docker.settings import DockerSettings

SETTINGS = DockerSettings("unix:///x", "o", Path("/r"), image_high=0.85, image_low=0.80, image_min_age_s=120)
FULL = Disk(1000, 900)


def test_below_the_high_mark_nothing_is_removed() -> None:
    assert plan(Disk(1000, 849), [Candidate("a", 500, 0)], SETTINGS, 1000) == []


def test_the_least_recently_used_go_until_the_low_mark_is_reached() -> None:
    candidates = [Candidate("new", 60, 500), Candidate("old", 60, 100), Candidate("older", 60, 50)]
    assert plan(FULL, candidates, SETTINGS, 1000) == ["older", "old"]


def test_what_was_used_a_moment_ago_stays() -> None:
    assert plan(FULL, [Candidate("fresh", 500, 900), Candidate("old", 10, 0)], SETTINGS, 1000) == ["old"]


def test_ages_begin_at_the_first_look_and_start_again_with_each_use() -> None:
    ages = Ages()
    images = [{"Id": "a", "Size": 1}, {"Id": "b", "Size": 2}]
    assert ages.look(images, {"a"}, 10) == [Candidate("b", 2, 10)]
    assert ages.look(images, set(), 20) == [Candidate("a", 1, 10), Candidate("b", 2, 10)]
    assert ages.look(images, {"b"}, 30) == [Candidate("a", 1, 10)]
    assert ages.look(images[1:], set(), 40) == [Candidate("b", 2, 30)]


def test_a_disk_of_another_host_cannot_be_measured(tmp_path: Path) -> None:
    assert 0 < measure(str(tmp_path)).used < 1
    with pytest.raises(OSError, match="No such file"):
        measure(str(tmp_path / "elsewhere"))


def test_a_disk_without_a_size_is_not_full() -> None:
    assert Disk(0, 0).used == 0
