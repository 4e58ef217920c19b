from __future__ import annotations

import orjson
import pytest

from cloudcore import errors
from cloudcore.errors import ApiError, Cause
from cloudcore.store.kubernetes.failures import failure_of, failure_of_status


def status(code: int, reason: str = "", **details: object) -> bytes:
    return orjson.dumps({"kind": "Status", "code": code, "reason": reason, "message": "m", "details": details})


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (409, "", errors.Conflict),
        (410, "Expired", errors.Gone),
        (410, "Gone", errors.Gone),
        (500, "ServerTimeout", errors.StorageUnavailable),
        (422, "SomethingNew", errors.Invalid),
        (502, "", errors.StorageUnavailable),
        (599, "", errors.InternalError),
    ],
)
def test_a_status_is_known_by_its_reason_or_else_its_code(code: int, reason: str, kind: type[ApiError]) -> None:
    assert type(failure_of(code, status(code, reason))) is kind


def test_causes_and_retries_are_kept() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "no", "field": "spec.x"}
    failure = failure_of_status({"reason": "Invalid", "details": {"causes": [cause], "retryAfterSeconds": 3}})
    assert failure.causes == (Cause("FieldValueInvalid", "no", "spec.x"),)
    assert failure.retry_after_s == 3
    assert failure_of(429, status(429, retryAfterSeconds=3), retry_after="7").retry_after_s == 7
    assert failure_of(503, b"", retry_after="Wed, 21 Oct 2026 07:28:00 GMT").retry_after_s is None


@pytest.mark.parametrize("answer", [b"", b"<html>bad gateway</html>", b"[1]", b'{"kind":"Pod"}', b"\xff\xfe"])
def test_what_a_proxy_says_is_an_error_too(answer: bytes) -> None:
    failure = failure_of(503, answer)
    assert isinstance(failure, errors.StorageUnavailable)
    assert "503" in failure.message
