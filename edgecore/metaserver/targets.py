"""A request's target: its path and its parameters. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from edgecore.metaserver.failures import Failure

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
WRITE_VERBS: Final = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters; of a repeated one the last counts."""

    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a parameter, empty where it is absent."""
        return self.values.get(name, "")

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false.

        Raises:
            Failure: It is neither.
        """
        value = self.text(name)
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise Failure("BadRequest", f'{name}: invalid value: "{value}": must be true or false')

    def number(self, name: str) -> int:
        """Return a whole number, 0 where it is absent.

        Raises:
            Failure: It is none.
        """
        value = self.text(name) or "0"
        if not (value.isascii() and value.isdigit() and len(value) <= 19):
            raise Failure("BadRequest", f'{name}: invalid value: "{value}": must be a whole number, not negative')
        return int(value)


def split_target(target: str) -> tuple[str, Query]:
    """Split a request's target into its decoded path and its query."""
    path, _, query = target.partition("?")
    return unquote(path), Query(dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)))
