from __future__ import annotations

from decimal import Decimal

import pytest

from protocol.objects.quantities import base_units, milli, parse_quantity, whole, written


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


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "1Zi", "1e", "one", "1..2", "1Kib", "0x10", "1\n", "٣", "9" * 5000])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)


def test_small_amounts_round_up_as_kubernetes_rounds() -> None:
    assert milli("1n") == 1
    assert whole("100m") == 1
    assert base_units("cpu", "250m") == 250
    assert base_units("memory", "1Mi") == 1 << 20


@pytest.mark.parametrize("text", ["1e999", "9" * 60, "1e30"])
def test_an_amount_counts_as_no_more_than_64_bits_hold(text: str) -> None:
    assert milli(text) == whole(text) == 2**63 - 1
    assert milli(f"-{text}") == 1 - 2**63


@pytest.mark.parametrize(
    ("amount", "binary", "expected"),
    [
        ("0", False, "0"),
        ("1500m", False, "1500m"),
        ("2", False, "2"),
        ("2000", False, "2k"),
        ("1e9", False, "1G"),
        ("1536Mi", True, "1536Mi"),
        ("2048Mi", True, "2Gi"),
        ("1000", True, "1000"),
        ("1u", False, "1m"),
    ],
)
def test_an_amount_is_written_in_its_canonical_form(amount: str, binary: bool, expected: str) -> None:
    assert written(parse_quantity(amount), binary=binary) == expected
