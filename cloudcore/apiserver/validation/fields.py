"""Field errors, worded as Kubernetes words them; and paths to fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from cloudcore.errors import Cause


def invalid(path: str, value: Any, detail: str) -> Cause:
    """Return "Invalid value" for a field."""
    return Cause("FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}", path)


def required(path: str, detail: str = "") -> Cause:
    """Return "Required value" for a field."""
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", path)


def duplicate(path: str, value: Any) -> Cause:
    """Return "Duplicate value" for a field."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", path)


def not_found(path: str, value: Any) -> Cause:
    """Return "Not found" for a field that refers to something that is not there."""
    return Cause("FieldValueNotFound", f"Not found: {_shown(value)}", path)


def forbidden(path: str, detail: str) -> Cause:
    """Return "Forbidden" for a field."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def too_long(path: str, limit: int) -> Cause:
    """Return "Too long" for a field."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def not_supported(path: str, value: Any, allowed: Iterable[str]) -> Cause:
    """Return "Unsupported value" for a field, with what it may be."""
    listed = ", ".join(f'"{each}"' for each in sorted(allowed))
    return Cause("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}", path)


def one_of(path: str, value: Any, allowed: frozenset[str]) -> list[Cause]:
    """Return what is wrong with a field that must be one of ``allowed``."""
    return [] if value in allowed else [not_supported(path, value, allowed)]


def _shown(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
