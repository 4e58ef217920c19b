"""Shared by the benchmarks: a table for people, a JSON file for comparison."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

Row = Mapping[str, str | int | float]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` per cent of ``values`` lie; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if ordered else float("nan")


def machine() -> dict[str, str | int | float]:
    """Return what a figure depends on."""
    return {
        "cpus": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def report(name: str, title: str, rows: Sequence[Row]) -> None:
    """Print ``rows`` (equal keys) as a table and write them to ``results/<name>.json``."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {"name": name, "at": datetime.now(UTC).isoformat(), "machine": machine(), "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
