"""API errors as ``Status`` bodies. Sans-IO."""

from __future__ import annotations

from typing import Any

from cloudcore.errors import ApiError, Cause, Gone


def failure(error: ApiError) -> dict[str, Any]:
    """Return the ``Status`` that answers a request which ended in ``error``."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.code,
    }
    if isinstance(error, Gone) and error.continue_token:
        status["metadata"] = {"continue": error.continue_token}
    details = dict(error.details)
    if error.causes:
        details["causes"] = [_cause(cause) for cause in error.causes]
    if error.retry_after_s is not None:
        details["retryAfterSeconds"] = error.retry_after_s
    if details:
        status["details"] = details
    return status


def _cause(cause: Cause) -> dict[str, str]:
    body = {"reason": cause.reason, "message": cause.message}
    if cause.field:
        body["field"] = cause.field
    return body


def success(details: dict[str, Any]) -> dict[str, Any]:
    """Return the ``Status`` that says a request was carried out and there is no object to show."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
        "code": 200,
    }
