from __future__ import annotations

import pytest

from tests.support.faultruns import missing
from tests.support.requirements import is_required


@pytest.fixture(scope="session")
def lab() -> None:
    """Require that the lab can be set up; only a developer's machine may be without."""
    if reason := missing():
        if is_required("FAULT_LAB"):
            pytest.fail(f"{reason}, and this run requires it")
        pytest.skip(reason)
