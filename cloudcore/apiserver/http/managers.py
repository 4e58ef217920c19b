"""Whom the fields that a request sets are noted for. Sans-IO."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.http.query import Query
from cloudcore.errors import Cause, Invalid

MAX_CHARACTERS: Final = 128
_NAMELESS: Final = "unknown"


def field_manager(query: Query, user_agent: str) -> str:
    """Return the manager that the query names, else the program that the user agent names.

    Raises:
        Invalid: The name is too long, or holds what cannot be shown.
    """
    given = query.text("fieldManager")
    if len(given) > MAX_CHARACTERS:
        raise _invalid(f"Too long: may not be more than {MAX_CHARACTERS} bytes", "FieldValueTooLong")
    if given and not given.isprintable():
        raise _invalid("Invalid value: should only contain printable characters", "FieldValueInvalid")
    program = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return given or program[:MAX_CHARACTERS] or _NAMELESS


def _invalid(message: str, reason: str) -> Invalid:
    return Invalid(f"fieldManager: {message}", causes=[Cause(reason, message, "fieldManager")])
