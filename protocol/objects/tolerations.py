"""Taints and tolerations. Source: core/v1 ``Taint`` and ``Toleration``."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.objects.keys import Body

Taint = tuple[str, str, str]
"""Key, value, effect."""


def taints_of(node: Body) -> tuple[Taint, ...]:
    """Return a Node's taints."""
    listed = (node.get("spec") or {}).get("taints") or ()
    return tuple((taint["key"], taint.get("value") or "", taint["effect"]) for taint in listed)


def tolerates(tolerations: Iterable[Body], taint: Taint) -> bool:
    """Tell whether one of ``tolerations`` tolerates ``taint``."""
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Body, taint: Taint) -> bool:
    key, value, effect = taint
    if toleration.get("effect") not in (None, "", effect):
        return False
    if toleration.get("key") not in (None, "", key):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    # A toleration without a key must say Exists.
    return bool(toleration.get("key")) and (toleration.get("value") or "") == value
