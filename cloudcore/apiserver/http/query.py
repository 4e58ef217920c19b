"""The query parameters of API requests, read once. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args
from urllib.parse import parse_qsl, unquote

from cloudcore.apiserver.context import FieldValidation
from cloudcore.errors import BadRequest, Cause

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
_MAX_NUMBER: Final = 2**63 - 1
_MAX_DIGITS: Final = 19
_FIELD_VALIDATIONS: Final[tuple[FieldValidation, ...]] = get_args(FieldValidation)


def split_target(raw: str) -> tuple[str, Query]:
    """Split a request target as received into its decoded path and its query."""
    path, _, query = raw.partition("?")
    if "%" in path:
        path = unquote(path)
    return path, Query(dict(parse_qsl(query, keep_blank_values=True))) if query else _EMPTY


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters; of a repeated one the last counts.

    Attributes:
        values: The parameters as written.
    """

    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a parameter, empty where it is absent."""
        return self.values.get(name, "")

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, false where it is absent.

        Raises:
            BadRequest: It is neither true nor false.
        """
        value = self.values.get(name)
        if value is None or value in _FALSE:
            return False
        if value in _TRUE:
            return True
        raise _invalid(name, value, "must be true or false")

    def number(self, name: str) -> int | None:
        """Return a whole number, not negative; None where it is absent.

        Raises:
            BadRequest: It is no such number.
        """
        value = self.values.get(name)
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS) or int(value) > _MAX_NUMBER:
            raise _invalid(name, value, "must be a whole number, not negative")
        return int(value)

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be stored.

        Raises:
            BadRequest: ``dryRun`` is neither absent nor ``All``.
        """
        value = self.text("dryRun")
        if value not in {"", "All"}:
            raise _invalid("dryRun", value, 'supported values: "All"')
        return value == "All"

    @property
    def field_validation(self) -> FieldValidation:
        """What to do with unknown fields; ``Warn`` where nothing is said.

        Raises:
            BadRequest: It is another word.
        """
        value = self.values.get("fieldValidation") or "Warn"
        for known in _FIELD_VALIDATIONS:
            if value == known:
                return known
        raise _invalid("fieldValidation", value, 'supported values: "Ignore", "Strict", "Warn"')


_EMPTY: Final = Query({})


def _invalid(name: str, value: str, why: str) -> BadRequest:
    message = f'invalid value: "{value}": {why}'
    return BadRequest(f"{name}: {message}", causes=[Cause("FieldValueInvalid", message, name)])
