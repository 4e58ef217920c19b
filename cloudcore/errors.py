"""API errors: everything the Kubernetes API answers with a ``Status`` of ``Failure``.

The store, the registry and the in-process client raise these; the HTTP layer turns them into bodies. Controllers
catch the ones they can act on (``Conflict``: read again; ``TooManyRequests``: later).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from protocol.errors import AiokubeedgeError


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason inside a ``Status``: ``details.causes[]`` (reason, message, field)."""

    reason: str
    message: str
    field: str = ""


class ApiError(AiokubeedgeError):
    """Base of all API errors.

    Args:
        message: One sentence for a person.
        details: ``Status.details`` fields known to the raiser (``name``, ``group``, ``kind``).
        causes: Field errors and the like.
        retry_after_s: Whole seconds after which a retry makes sense; None where it does not.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        causes: Sequence[Cause] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s


class BadRequest(ApiError):
    """The request cannot be understood."""

    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError):
    """No acceptable credentials."""

    code = 401
    reason = "Unauthorized"


class Forbidden(ApiError):
    """The user may not do this, or a policy turned it away."""

    code = 403
    reason = "Forbidden"


class NotFound(ApiError):
    """No such object, or no such resource."""

    code = 404
    reason = "NotFound"


class MethodNotAllowed(ApiError):
    """The resource does not have this verb."""

    code = 405
    reason = "MethodNotAllowed"


class NotAcceptable(ApiError):
    """No representation that the client accepts."""

    code = 406
    reason = "NotAcceptable"


class AlreadyExists(ApiError):
    """An object of that name is there."""

    code = 409
    reason = "AlreadyExists"


class Conflict(ApiError):
    """The object changed since it was read, or a precondition does not hold."""

    code = 409
    reason = "Conflict"


class Gone(ApiError):
    """The revision asked for has been compacted away; list again."""

    code = 410
    reason = "Expired"
    continue_token = ""
    """Goes on with a list whose revision is gone, at the present one; empty where there is none to go on with."""


class RequestEntityTooLarge(ApiError):
    """The body is over the limit."""

    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    """A body or patch of a type that is not understood."""

    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError):
    """The object breaks its schema or a rule; the causes name the fields."""

    code = 422
    reason = "Invalid"


class TooManyRequests(ApiError):
    """A bound is reached; ``retry_after_s`` is set."""

    code = 429
    reason = "TooManyRequests"


class InternalError(ApiError):
    """A defect here."""


class NotBuiltYet(ApiError):
    """A part of the Kubernetes API that this server does not have."""

    code = 501
    reason = "NotImplemented"


class StorageUnavailable(ApiError):
    """The disk does not take writes (full, failing); nothing was stored."""

    code = 503
    reason = "ServiceUnavailable"


class GatewayTimeout(ApiError):
    """The server cannot answer in time, as when a revision is asked for that is not there yet."""

    code = 504
    reason = "Timeout"
