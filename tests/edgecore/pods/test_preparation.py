from __future__ import annotations

import pytest

from edgecore.pods.preparation import RETRY_S, Preparation


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
        assert asked.retry_at == now + wait_s
        assert not asked.ask(now + wait_s - 0.1)
        now += wait_s
        assert asked.ask(now)
        assert asked.retry_at is None


def test_a_change_of_what_they_are_made_of_is_tried_at_once(asked: Preparation) -> None:
    asked.failed(5.0)
    asked.references_changed()
    assert asked.ask(5.0)
    asked.failed(5.0)
    assert asked.retry_at == 5.0 + RETRY_S[0]


def test_volumes_that_are_there_are_brought_up_to_date_and_stay_where_that_fails(asked: Preparation) -> None:
    asked.succeeded()
    asked.references_changed()
    assert asked.ask(1.0)
    assert asked.ready
    asked.failed(1.0)
    assert asked.ready
    assert asked.retry_at is None
    assert not asked.ask(1000.0)


def test_volumes_are_released_once_and_late_answers_change_nothing(asked: Preparation) -> None:
    assert asked.release()
    assert not asked.release()
    asked.succeeded()
    asked.failed(1.0)
    asked.references_changed()
    assert asked.released
    assert not asked.ready
    assert not asked.ask(1.0)
