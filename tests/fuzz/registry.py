"""Which targets there are: the modules of :mod:`tests.fuzz.targets`, each by its name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol, cast

FOLDER: Final = Path(__file__).parent
REGRESSIONS: Final = FOLDER / "regressions"
"""Inputs that once broke something: ``<target>-<what it was>``, replayed by the suite and seeds of every run."""


class Target(Protocol):
    """What a target module offers."""

    def one_input(self, data: bytes) -> None:
        """Read ``data``. Whatever it raises is a finding: the errors that may come are caught inside."""

    def seeds(self) -> Iterable[bytes]:
        """Return inputs to begin with, well-formed ones above all."""


def names() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))


def load(name: str) -> Target:
    """Return a target; whoever wants it instrumented begins to instrument before."""
    return cast(Target, importlib.import_module(f"tests.fuzz.targets.{name}"))


def inputs(name: str) -> list[bytes]:
    """Return the seeds of a target and the inputs that once broke it."""
    broke_once = [path.read_bytes() for path in sorted(REGRESSIONS.glob(f"{name}-*"))]
    return [*load(name).seeds(), *broke_once]
