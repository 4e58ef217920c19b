from __future__ import annotations

import itertools

import pytest

from edgecore.pods.preparation import REFRESH_S, RETRY_S, Preparation


@pytest.fixture
def asked() -> Preparation:
    volumes = Preparation()
    assert volumes.ask(0.0)
    return volumes


def test_volumes_are_asked_for_once(asked: Preparation) -> None:
    assert not asked.ask(1.0)
    asked.succeeded()
    assert asked.ready
    assert not asked.ask(2.0)


def test_failures_are_tried_again_ever_more_seldom(asked: Preparation) -> None:
    now = 0.0
    for wait_s in (*RETRY_S, RETRY_S[-1]):
        asked.failed(now)
        assert asked.due_at == now + wait_s
        assert not asked.ask(now + wait_s - 0.1)
        now += wait_s
        assert asked.ask(now)
        assert asked.due_at is None


def test_a_change_of_what_they_are_made_of_is_tried_at_once(asked: Preparation) -> None:
    asked.failed(5.0)
    asked.references_changed()
    assert asked.ask(5.0)
    asked.failed(5.0)
    assert asked.due_at == 5.0 + RETRY_S[0]


def test_volumes_that_are_there_are_brought_up_to_date_and_stay_where_that_fails(asked: Preparation) -> None:
    asked.succeeded()
    asked.references_changed()
    assert asked.ask(1.0)
    assert asked.ready
    asked.failed(1.0)
    assert asked.ready
    # A full disk has room again some day: what is out of date is tried until it is not.
    assert asked.due_at == 1.0 + RETRY_S[0]
    assert not asked.ask(1.0 + RETRY_S[0] - 0.1)
    assert asked.ask(1.0 + RETRY_S[0])
    asked.succeeded()
    assert asked.due_at is None


def test_changes_that_keep_coming_are_written_ever_more_seldom_and_the_newest_last(asked: Preparation) -> None:
    asked.succeeded()
    written = []
    for n in range(1000):
        now = 100.0 + n * 0.06
        asked.references_changed()
        if asked.ask(now):
            written.append(now)
            asked.succeeded()
    assert written[0] == 100.0  # the first at once
    assert len(written) <= 3 + 60 / REFRESH_S[-1] + 1
    gaps = [after - before for before, after in itertools.pairwise(written)]
    assert all(gap >= least for gap, least in zip(gaps, (*REFRESH_S, *[REFRESH_S[-1]] * len(gaps)), strict=False))
    due = asked.due_at
    assert due is not None
    assert due <= 160.0 + REFRESH_S[-1]
    assert asked.ask(due)
    assert asked.due_at is None


def test_after_a_rest_a_change_is_written_at_once_again(asked: Preparation) -> None:
    asked.succeeded()
    for now in (0.0, 1.0, 3.0):
        asked.references_changed()
        assert asked.ask(now)
    asked.references_changed()
    assert asked.due_at == 3.0 + REFRESH_S[2]
    assert asked.ask(8.0)
    asked.references_changed()
    assert not asked.ask(17.9)
    assert asked.ask(100.0)
    asked.references_changed()
    assert asked.due_at == 100.0 + REFRESH_S[0]


def test_volumes_are_released_once_and_late_answers_change_nothing(asked: Preparation) -> None:
    assert asked.release()
    assert not asked.release()
    asked.succeeded()
    asked.failed(1.0)
    asked.references_changed()
    assert asked.released
    assert not asked.ready
    assert not asked.ask(1.0)
