"""Status conditions: lists of ``{type, status, reason, message, lastTransitionTime}``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocol.objects.keys import Body


def find_condition(conditions: Iterable[Body] | None, kind: str) -> Body | None:
    """Return the condition of type ``kind``, or None."""
    return next((condition for condition in conditions or () if condition.get("type") == kind), None)


def is_true(conditions: Iterable[Body] | None, kind: str) -> bool:
    """Tell whether the condition of type ``kind`` is there with status ``True``."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.get("status") == "True"


def set_condition(conditions: Sequence[Body] | None, new: Body, *, at: str) -> list[Body]:
    """Return ``conditions`` with ``new`` in the place of the one of its type.

    ``lastTransitionTime`` becomes ``at`` when the status differs from before, and stays as it was when not.

    Args:
        conditions: The list so far; not changed.
        new: ``type`` and ``status`` at least; its own ``lastTransitionTime`` is overwritten.
        at: The current time as a Kubernetes timestamp.
    """
    before = find_condition(conditions, new["type"])
    changed = before is None or before.get("status") != new["status"]
    since = at if before is None or changed else before.get("lastTransitionTime", at)
    settled = {**new, "lastTransitionTime": since}
    if before is None:
        return [*(conditions or ()), settled]
    return [settled if condition is before else condition for condition in conditions or ()]
