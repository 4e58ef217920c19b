"""Kubernetes resource quantities: ``100m``, ``1.5``, ``512Mi``, ``1e3``.

Source: Kubernetes API conventions, ``resource.Quantity``. Values are exact: amounts are ``Decimal`` or integers, so
that ten times ``100m`` is ``1``.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

_PATTERN: Final = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,3}))?$")
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
_SUFFIXES: Final = {**_BINARY, **_DECIMAL}


@lru_cache(maxsize=4096)
def parse_quantity(text: str | int | float) -> Decimal:
    """Return the amount that ``text`` names, in the resource's base unit (cores, bytes, pieces).

    Raises:
        ValueError: ``text`` is not a quantity.
    """
    match = _PATTERN.match(str(text))
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix, exponent = match.groups()
    amount = Decimal(number)
    if suffix:
        return amount * _SUFFIXES[suffix]
    return amount.scaleb(int(exponent)) if exponent else amount


def milli(text: str | int | float) -> int:
    """Return the quantity in thousandths, rounded up as Kubernetes rounds (``100m`` → 100)."""
    return int((parse_quantity(text) * 1000).to_integral_value(ROUND_CEILING))


def whole(text: str | int | float) -> int:
    """Return the quantity in base units, rounded up (``1Ki`` → 1024)."""
    return int(parse_quantity(text).to_integral_value(ROUND_CEILING))


def base_units(resource: str, text: str | int | float) -> int:
    """Return the quantity in the integer unit used for sums: millicores for ``cpu``, base units for the rest."""
    return milli(text) if resource == "cpu" else whole(text)


def format_bytes(size_bytes: int) -> str:
    """Return ``size_bytes`` as nodes report memory: ``Ki`` where it divides, plain bytes where not."""
    return f"{size_bytes // 1024}Ki" if size_bytes % 1024 == 0 else str(size_bytes)


def format_milli(thousandths: int) -> str:
    """Return thousandths of a unit as a quantity: 1500 → ``1500m``, 2000 → ``2``."""
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
