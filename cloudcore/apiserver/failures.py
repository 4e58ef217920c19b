"""API errors worded as Kubernetes words them, with the details its clients read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import AlreadyExists, Cause, Conflict, Forbidden, Invalid, MethodNotAllowed, NotFound

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def _details(kind: Kind, name: str, **more: Any) -> dict[str, Any]:
    details = {"name": name, "kind": kind.plural, **more}
    if kind.group:
        details["group"] = kind.group
    return details


def not_found(kind: Kind, name: str) -> NotFound:
    """Return the error for an object that is not there."""
    return NotFound(f'{kind.resource} "{name}" not found', details=_details(kind, name))


def already_exists(kind: Kind, name: str) -> AlreadyExists:
    """Return the error for a name that is taken."""
    return AlreadyExists(f'{kind.resource} "{name}" already exists', details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str = _MODIFIED) -> Conflict:
    """Return the error for a write that lost a race, or whose precondition does not hold."""
    return Conflict(f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', details=_details(kind, name))


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[Cause] = ()) -> Forbidden:
    """Return the error for what a policy turned away."""
    return Forbidden(f'{kind.resource} "{name}" is forbidden: {why}', details=_details(kind, name), causes=causes)


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> Invalid:
    """Return the error that names every field that is wrong."""
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    what = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details: dict[str, Any] = {"name": name, "kind": kind.kind}
    if kind.group:
        details["group"] = kind.group
    return Invalid(f'{kind.qualified} "{name}" is invalid: {what}', details=details, causes=causes)


def not_allowed(kind: Kind, verb: str) -> MethodNotAllowed:
    """Return the error for a verb the resource does not have."""
    return MethodNotAllowed(
        f"{verb} is not supported on resources of kind {kind.resource!r}", details=_details(kind, "")
    )


def no_resource() -> NotFound:
    """Return the error for a path nothing is served at."""
    return NotFound("the server could not find the requested resource")
