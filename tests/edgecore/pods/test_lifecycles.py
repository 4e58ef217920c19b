from __future__ import annotations

import signal

import pytest

from edgecore.pods.lifecycles import Lifecycle, lifecycle_of, signal_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (None, 15),
        ("", 15),
        ("SIGTERM", 15),
        ("SIGUSR1", 10),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
        ("SIGRTMAX+1", 15),
        ("SIGNONSENSE", 15),
    ],
)
def test_signals_by_name(name: str | None, number: int) -> None:
    assert signal_number(name) == number


def test_what_a_container_states() -> None:
    hook = {"exec": {"command": ["x"]}}
    assert lifecycle_of({"lifecycle": {"preStop": hook, "stopSignal": "SIGINT"}}) == Lifecycle(None, hook, 2)
    assert lifecycle_of({"lifecycle": {"postStart": hook, "preStop": {}}}) == Lifecycle(hook, None, 15)


@pytest.mark.parametrize("container", [{}, {"lifecycle": None}, {"lifecycle": {}}])
def test_a_container_that_states_nothing(container: dict[str, object]) -> None:
    assert lifecycle_of(container) == Lifecycle()
