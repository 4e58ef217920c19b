from __future__ import annotations

from cloudcore.apiserver.http.responses import warning_header
from cloudcore.apiserver.http.status import failure, success
from cloudcore.errors import Cause, Invalid, NotFound, TooManyRequests


def test_an_error_with_its_causes() -> None:
    error = Invalid("bad", details={"name": "x"}, causes=[Cause("FieldValueInvalid", "no", "spec.a"), Cause("R", "m")])
    status = failure(error)
    assert (status["status"], status["code"], status["reason"]) == ("Failure", 422, "Invalid")
    assert status["details"] == {
        "name": "x",
        "causes": [
            {"reason": "FieldValueInvalid", "message": "no", "field": "spec.a"},
            {"reason": "R", "message": "m"},
        ],
    }


def test_details_only_where_there_are_any() -> None:
    assert "details" not in failure(NotFound("gone"))
    assert failure(TooManyRequests("later", retry_after_s=2))["details"] == {"retryAfterSeconds": 2}


def test_success() -> None:
    assert success({"name": "x"})["details"] == {"name": "x"}


def test_a_warning_cannot_break_out_of_its_header() -> None:
    assert warning_header('say "hi"\r\nX: y\\') == '299 - "say \\"hi\\"  X: y\\\\"'
