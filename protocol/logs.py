"""Structured logs of both daemons: a console on a terminal, JSON lines otherwise.

Events are past-tense sentences without values in them; values are keys (``node``, ``object``, ``cause``). Secrets
never appear: what looks like one by its key is cut out here as a last defence.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

Format = Literal["auto", "console", "json"]

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_KEYS: Final = frozenset({"token", "key", "password", "secret", "authorization", "data"})


def configure_logs(*, level: str = "info", form: Format = "auto") -> None:
    """Set up structlog, and route the standard library's warnings and errors through it. May be called again.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``auto`` takes the console on a terminal and JSON otherwise.
    """
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        _cut_secrets,
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_ToStructlog()]
    root.setLevel(max(_LEVELS[level], logging.WARNING))


class _ToStructlog(logging.Handler):
    """Hands records of libraries that log by the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(library=record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _cut_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in _SECRET_KEYS & event.keys():
        event[key] = "…"
    return event
