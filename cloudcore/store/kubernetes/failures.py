"""What an API server answers when it refuses: its ``Status`` as one of our errors. Performs no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from cloudcore import errors
from cloudcore.errors import ApiError, Cause, StorageUnavailable
from protocol.objects.keys import Body


class ServerUnreachable(StorageUnavailable):
    """Nothing answers at the API's address, or not in time.

    A write that ended so may have been stored: read again before you conclude anything.
    """


_KINDS: Final = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApiError)]
_BY_REASON: Final[Mapping[str, type[ApiError]]] = {kind.reason: kind for kind in _KINDS} | {
    "Gone": errors.Gone,
    "ServerTimeout": errors.StorageUnavailable,
}
_BY_CODE: Final[Mapping[int, type[ApiError]]] = {kind.code: kind for kind in _KINDS if kind is not ApiError} | {
    409: errors.Conflict,
    500: errors.InternalError,
    502: errors.StorageUnavailable,
}


def failure_of(code: int, answer: bytes, *, retry_after: str | None = None) -> ApiError:
    """Return the error that an answer stands for.

    Args:
        code: The HTTP status, 400 or above.
        answer: The body: a ``Status``, or whatever a proxy in between wrote.
        retry_after: The header of that name, where there is one.
    """
    try:
        status: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = {}
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = answer[:200].decode("utf-8", "replace").strip()
        status = {"message": f"the server answered {code}: {text or 'nothing'}"}
    return failure_of_status({"code": code, **status}, retry_after_s=_seconds(retry_after))


def failure_of_status(status: Body, *, retry_after_s: int | None = None) -> ApiError:
    """Return the error that a ``Status`` of ``Failure`` stands for: by its reason, else by its code."""
    details = status.get("details") or {}
    kind = _BY_REASON.get(status.get("reason", "")) or _BY_CODE.get(status.get("code", 500), errors.InternalError)
    causes = [
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.get("causes") or ()
    ]
    later = details.get("retryAfterSeconds") if retry_after_s is None else retry_after_s
    return kind(status.get("message") or "unknown error", details=details, causes=causes, retry_after_s=later)


def _seconds(retry_after: str | None) -> int | None:
    """Return the seconds of a ``Retry-After``; an HTTP date, which no API server sends, counts as absent."""
    return int(retry_after) if retry_after is not None and retry_after.isdecimal() else None
