"""What goes wrong with a request, as a Kubernetes ``Status``. Sans-IO."""

from __future__ import annotations

from typing import Any, Final

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body

_CODES: Final = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


class Failure(AiokubeedgeError):
    """A request that is answered with a ``Status`` of ``Failure``.

    Args:
        reason: The ``Status``'s reason, which settles the HTTP code: ``NotFound``, ``Forbidden``.
        message: One sentence for a person.
        details: ``Status.details``.
        retry_after_s: Whole seconds after which a retry makes sense; 0 where it does not.
    """

    def __init__(
        self, reason: str, message: str, *, details: dict[str, Any] | None = None, retry_after_s: int = 0
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = _CODES.get(reason, 500)
        self.message = message
        self.details = details or {}
        self.retry_after_s = retry_after_s

    def status(self) -> Body:
        """Return the body that tells it."""
        body: Body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        details = dict(self.details)
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        if details:
            body["details"] = details
        return body


def not_found(plural: str, group: str, name: str) -> Failure:
    """Return what answers a request for an object that is not here."""
    what = f"{plural}.{group}" if group else plural
    details = {"name": name, "kind": plural} | ({"group": group} if group else {})
    return Failure("NotFound", f'{what} "{name}" not found', details=details)


def expired(why: str) -> Failure:
    """Return what makes a client list again."""
    return Failure("Expired", f"{why}: list again")


NO_SUCH_PATH: Final = "the server could not find the requested resource"
