from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.quantities import base_units, format_bytes, format_milli, milli, parse_quantity, whole


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", "0"),
        ("100m", "0.1"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("512Mi", "536870912"),
        ("1Ki", "1024"),
        ("2k", "2000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("5n", "0.000000005"),
        ("-1", "-1"),
        (2, "2"),
        (0.25, "0.25"),
    ],
)
def test_quantities_are_exact(text: str | float, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "1Zi", "1e", "one", "1..2", "1Kib", "0x10"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)


def test_small_amounts_round_up_as_kubernetes_rounds() -> None:
    assert milli("1n") == 1
    assert whole("100m") == 1
    assert base_units("cpu", "250m") == 250
    assert base_units("memory", "1Mi") == 1 << 20


@given(st.integers(min_value=0, max_value=10**9))
def test_milli_survives_its_own_format(thousandths: int) -> None:
    assert milli(format_milli(thousandths)) == thousandths


@given(st.integers(min_value=0, max_value=1 << 50))
def test_bytes_survive_their_own_format(size_bytes: int) -> None:
    assert whole(format_bytes(size_bytes)) == size_bytes
