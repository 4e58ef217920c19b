from __future__ import annotations

import os

import pytest

from tests.support.faultruns import REQUIRED_VARIABLE, missing


@pytest.fixture(scope="session")
def lab() -> None:
    """Require that the lab can be set up; only a developer's machine may be without."""
    if reason := missing():
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(f"{reason}, and this run requires it")
        pytest.skip(reason)
