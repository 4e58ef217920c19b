"""Rules of resource amounts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from cloudcore.apiserver.validation.fields import invalid
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity
from protocol.objects.selectors import is_label_key

_STANDARD: Final = frozenset({"cpu", "memory", "ephemeral-storage", "storage", "pods"})


def check_resources(path: str, resources: Body) -> list[Cause]:
    """Return what is wrong with a container's ``resources``."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes = check_amounts(f"{path}.limits", limits) + check_amounts(f"{path}.requests", requests)
    if causes:
        return causes
    for name, asked in requests.items():
        limit = limits.get(name)
        if limit is not None and parse_quantity(asked) > parse_quantity(limit):
            detail = f"must be less than or equal to {name} limit of {limit}"
            causes.append(invalid(f"{path}.requests", asked, detail))
        elif limit is None and _is_extended(name):
            causes.append(invalid(f"{path}.limits", asked, f"Limit must be set for non overcommitable resource {name}"))
    return causes


def check_amounts(path: str, amounts: Body) -> list[Cause]:
    """Return what is wrong with a map of resource names to quantities."""
    causes = []
    for name, amount in amounts.items():
        below = f"{path}[{name}]"
        if not _is_resource(name):
            causes.append(invalid(below, name, "must be a standard resource type or fully qualified"))
        elif _amount_error(amount):
            causes.append(invalid(below, amount, _amount_error(amount)))
    return causes


@lru_cache(maxsize=1024)
def _amount_error(amount: Any) -> str:
    try:
        return "must be greater than or equal to 0" if parse_quantity(amount) < 0 else ""
    except ValueError as error:
        return str(error)


@lru_cache(maxsize=256)
def _is_resource(name: str) -> bool:
    return name in _STANDARD or name.startswith("hugepages-") or ("/" in name and is_label_key(name))


def _is_extended(name: str) -> bool:
    return "/" in name and not name.partition("/")[0].endswith("kubernetes.io")
