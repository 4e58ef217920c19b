from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.accounts.ledger import DUE_AFTER_S, GRACE_S, KEPT_DIGESTS, Owner, Token, TokenLedger, Want, digest_of
from protocol.objects.keys import Uid

OWNER = Owner("shop", "reader", Uid("a1"), "web", Uid("p1"))
WANT = Want(OWNER, "", 3607)
WALL = 1_800_000_000.0


def token(text: str, *, want: Want = WANT, came_at: float = WALL, life_s: float = 3607.0, local: bool = False) -> Token:
    return Token(want, text, digest_of(text), came_at, life_s, local)


def connected() -> TokenLedger:
    ledger = TokenLedger()
    ledger.reachable(0.0)
    return ledger


@pytest.mark.parametrize(("life_s", "due_after_s"), [(3607.0, 0.8 * 3607), (600.0, 480.0), (7 * 86_400.0, DUE_AFTER_S)])
def test_a_token_is_due_at_four_fifths_of_its_life_or_after_a_day(life_s: float, due_after_s: float) -> None:
    ledger = connected()
    assert ledger.is_due(WANT.slot, 0.0, WALL)  # there is none
    ledger.came(token("t", life_s=life_s), 100.0)
    assert not ledger.is_due(WANT.slot, 100.0 + due_after_s - 1, WALL)
    assert ledger.is_due(WANT.slot, 100.0 + due_after_s, WALL)


def test_a_token_made_here_is_due_at_once() -> None:
    ledger = TokenLedger()
    ledger.came(token("t", life_s=86_400.0, local=True), 100.0)
    assert ledger.is_due(WANT.slot, 100.0, WALL)
    assert ledger.owner_of("t", 100.0) == OWNER


def test_an_expired_token_is_good_while_the_cloud_is_out_of_reach_and_a_while_beyond() -> None:
    ledger = connected()
    ledger.came(token("t"), 0.0)
    assert ledger.owner_of("t", 3606.9) == OWNER
    assert ledger.owner_of("t", 3607.0) is None
    ledger.unreachable()
    assert ledger.owner_of("t", 1e9) == OWNER
    ledger.reachable(1e9)
    assert ledger.owner_of("t", 1e9 + GRACE_S - 1) == OWNER
    assert ledger.owner_of("t", 1e9 + GRACE_S) is None


def test_the_token_before_is_good_until_its_own_end_and_its_bytes_are_kept_no_longer() -> None:
    ledger = connected()
    ledger.came(token("old"), 0.0)
    ledger.came(token("new", came_at=WALL + 3000), 3000.0)
    assert [one.text for one in ledger.tokens(Uid("p1"))] == ["", "new"]
    assert ledger.owner_of("old", 3606.0) == OWNER
    assert ledger.owner_of("old", 3608.0) is None
    assert ledger.owner_of("new", 3608.0) == OWNER


def test_tokens_for_others_open_nothing_here() -> None:
    ledger = connected()
    ledger.came(token("t", want=Want(OWNER, "vault", 3600)), 0.0)
    assert ledger.owner_of("t", 1.0) is None


def test_a_forgotten_pods_tokens_are_good_for_nothing() -> None:
    ledger = TokenLedger()
    ledger.came(token("t"), 0.0)
    assert ledger.forget(Uid("p1"))
    assert ledger.owner_of("t", 1.0) is None
    assert not ledger.forget(Uid("p1"))
    ledger.check_invariants()


@pytest.mark.parametrize("years", [-60, -1, 1, 60])
def test_a_clock_that_jumps_by_years_never_makes_a_good_token_bad(years: int) -> None:
    ledger = connected()
    ledger.came(token("t"), 0.0)
    jumped = WALL + years * 31_557_600.0
    assert ledger.owner_of("t", 1000.0) == OWNER
    assert ledger.is_due(WANT.slot, 1000.0, jumped)  # asked for once more, which costs nothing
    ledger.came(token("u", came_at=jumped), 1000.0)
    assert not ledger.is_due(WANT.slot, 1001.0, jumped + 1)


def test_what_an_earlier_process_kept_is_as_old_as_the_wall_clock_says() -> None:
    ledger = connected()
    ledger.load([token("t", came_at=WALL - 3000)], 50.0, WALL)
    assert ledger.is_due(WANT.slot, 50.0, WALL)
    assert ledger.owner_of("t", 50.0 + 606) == OWNER
    assert ledger.owner_of("t", 50.0 + 608) is None


def test_what_seems_to_come_from_the_future_is_due_and_good() -> None:
    ledger = connected()
    ledger.load([token("t", came_at=WALL + 1e9)], 50.0, WALL)
    assert ledger.is_due(WANT.slot, 50.0, WALL)
    assert ledger.owner_of("t", 51.0) == OWNER


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("came"), st.sampled_from("ab"), st.integers(0, 99), st.booleans()),
            st.tuples(st.just("pass"), st.floats(0, 1e5)),
            st.tuples(st.just("jump"), st.floats(-1e9, 1e9)),
            st.sampled_from([("cut",), ("mend",), ("restart",), ("forget", "a"), ("forget", "b")]),
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_newest_token_is_good_or_due_and_nothing_grows(steps: list[tuple[object, ...]]) -> None:
    ledger, now, wall, cut = connected(), 0.0, WALL, False
    for step in steps:
        match step:
            case ("came", str(pod), int(number), bool(local)):
                want = Want(Owner("shop", "reader", Uid("a"), pod, Uid(pod)), "", 3600)
                ledger.came(token(f"{pod}{number}", want=want, came_at=wall, local=local), now)
            case ("pass", float(seconds)):
                now, wall = now + seconds, wall + seconds
            case ("jump", float(seconds)):
                wall += seconds
            case ("cut",):
                ledger.unreachable()
                cut = True
            case ("mend",):
                ledger.reachable(now)
                cut = False
            case ("restart",):
                kept = [one for pod in sorted(ledger.pods()) for one in ledger.tokens(pod)]
                ledger, cut = TokenLedger(), True
                ledger.load(kept, now, wall)
            case ("forget", str(pod)):
                ledger.forget(Uid(pod))
        ledger.check_invariants()
        for pod in ledger.pods():
            newest = ledger.newest((pod, "", 3600))
            assert newest is not None
            assert newest.text
            assert len(list(ledger.tokens(pod))) <= KEPT_DIGESTS
            if cut:
                assert ledger.owner_of(newest.text, now) is not None
            else:
                good = ledger.owner_of(newest.text, now) is not None
                assert good or ledger.is_due((pod, "", 3600), now, wall)
