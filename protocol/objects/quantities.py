"""Kubernetes resource quantities: ``100m``, ``1.5``, ``512Mi``, ``1e3``.

Source: Kubernetes API conventions, ``resource.Quantity``. Values are exact: amounts are ``Decimal`` or integers, so
that ten times ``100m`` is ``1``.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

_PATTERN: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,3}))?", re.ASCII)
_MAX_CHARACTERS: Final = 64
"""Longer ones are no amounts of anything, and cost more to read the longer they are."""
LARGEST: Final = 2**63 - 1
"""What Kubernetes holds an amount in; a larger one counts as this."""
_BINARY: Final = {
    suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
}
_LARGE: Final = ("k", "M", "G", "T", "P", "E")
_SUFFIXES: Final = {**_BINARY, **_DECIMAL}


@lru_cache(maxsize=4096)
def parse_quantity(text: str | int | float) -> Decimal:
    """Return the amount that ``text`` names, in the resource's base unit (cores, bytes, pieces).

    Raises:
        ValueError: ``text`` is not a quantity.
    """
    written = str(text)
    match = _PATTERN.fullmatch(written) if len(written) <= _MAX_CHARACTERS else None
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix, exponent = match.groups()
    amount = Decimal(number)
    if suffix:
        return amount * _SUFFIXES[suffix]
    return amount.scaleb(int(exponent)) if exponent else amount


def milli(text: str | int | float) -> int:
    """Return the quantity in thousandths, rounded up as Kubernetes rounds (``100m`` → 100), within 64 bits."""
    return _bounded(parse_quantity(text) * 1000)


def whole(text: str | int | float) -> int:
    """Return the quantity in base units, rounded up (``1Ki`` → 1024), within 64 bits."""
    return _bounded(parse_quantity(text))


def _bounded(amount: Decimal) -> int:
    return max(-LARGEST, min(LARGEST, int(amount.to_integral_value(ROUND_CEILING))))


def base_units(resource: str, text: str | int | float) -> int:
    """Return the quantity in the integer unit used for sums: millicores for ``cpu``, base units for the rest."""
    return milli(text) if resource == "cpu" else whole(text)


def written(amount: Decimal, *, binary: bool = False) -> str:
    """Return an amount in Kubernetes' canonical form: no fraction, and the largest suffix that allows it.

    Args:
        amount: In the base unit; what is finer than thousandths is rounded up.
        binary: Write whole multiples of 1024 with ``Ki``, ``Mi``…
    """
    thousandths = int((amount * 1000).to_integral_value(ROUND_CEILING))
    if thousandths % 1000:
        return f"{thousandths}m"
    number, step, suffixes = thousandths // 1000, 1024 if binary else 1000, _BINARY if binary else _LARGE
    chosen = ""
    for suffix in suffixes:
        if number == 0 or number % step:
            break
        number, chosen = number // step, suffix
    return f"{number}{chosen}"
