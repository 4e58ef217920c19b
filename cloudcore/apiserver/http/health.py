"""``/healthz``, ``/livez`` and ``/readyz``: plain text, for anyone. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Check = Callable[[], str]
"""Returns what is wrong; empty where all is well. Must not block."""


def report(name: str, checks: Mapping[str, Check], *, verbose: bool, excluded: str = "") -> tuple[int, str]:
    """Run the checks of an endpoint.

    Args:
        name: The endpoint: ``readyz``.
        checks: The checks by name, in the order they are shown.
        verbose: List each check also where all pass.
        excluded: Name of a check to leave out; empty for none.

    Returns:
        The HTTP status and the text.
    """
    results = {"ping": "", **{each: check() for each, check in checks.items() if each != excluded}}
    failed = any(results.values())
    if not failed and not verbose:
        return 200, "ok"
    lines = [f"[-]{each} failed: {why}" if why else f"[+]{each} ok" for each, why in results.items()]
    verdict = f"{name} check failed" if failed else f"{name} check passed"
    return (503 if failed else 200), "\n".join([*lines, verdict, ""])
