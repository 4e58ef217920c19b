from __future__ import annotations

import pytest

from protocol.commands import run_command
from protocol.errors import AiokubeedgeError, ConnectionClosed, UsageError


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UsageError("no such folder"), 2, "cloudcore: no such folder\n"),
        (ConnectionClosed(1006, "gone"), 1, "cloudcore: connection closed: gone (code 1006)\n"),
    ],
)
def test_what_is_raised_on_purpose_is_one_line(
    error: AiokubeedgeError, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command("cloudcore", command)
    assert ended.value.code == status
    assert capsys.readouterr().err == says


def test_a_defect_keeps_its_trace() -> None:
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command("cloudcore", command)
