"""Whether the names of a CustomResourceDefinition are free, and the conditions that say so.

Source: Kubernetes ``apiextensions-apiserver/pkg/controller/status/naming_controller.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cloudcore.apiserver.kinds.kind import Kind
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body

ESTABLISHED: Final = "Established"
NAMES_ACCEPTED: Final = "NamesAccepted"
TERMINATING: Final = "Terminating"


def names_of(body: Body) -> Body:
    """Return ``spec.names`` with what may be left out of it."""
    names = dict((body.get("spec") or {}).get("names") or {})
    kind = str(names.get("kind", ""))
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    return names


def resource_of(body: Body) -> str:
    """Return the group-resource that a definition defines."""
    spec = body["spec"]
    return f"{spec['names']['plural']}.{spec['group']}"


def conflict_of(body: Body, rows: Iterable[Kind]) -> tuple[str, str]:
    """Return reason and message of the first name that another kind of the group has; empty where all are free.

    A built-in kind is another one, also where all names are the same.
    """
    names, own = names_of(body), resource_of(body)
    others = [row for row in rows if row.group == body["spec"]["group"] and (row.resource != own or not row.defined)]
    taken = {name for row in others for name in (row.plural, row.singular, *row.short_names)}
    kinds = {name for row in others for name in (row.kind, row.list_kind)}
    wanted = (
        ("PluralConflict", names.get("plural", ""), taken),
        ("SingularConflict", names["singular"], taken),
        *(("ShortNamesConflict", short, taken) for short in names.get("shortNames") or ()),
        ("KindConflict", names.get("kind", ""), kinds),
        ("ListKindConflict", names["listKind"], kinds),
    )
    for reason, name, others_names in wanted:
        if name in others_names:
            return reason, f'"{name}" is already in use'
    return "", ""


def status_of_names(body: Body, rows: Iterable[Kind], now: str) -> Body:
    """Return the status that follows from the names of ``body`` and its status so far.

    Args:
        body: The CustomResourceDefinition.
        rows: All kinds there are.
        now: The present time.
    """
    status: dict[str, Any] = dict(body.get("status") or {})
    reason, message = conflict_of(body, rows)
    conditions = list(status.get("conditions") or ())
    if reason:
        accepted = {"type": NAMES_ACCEPTED, "status": "False", "reason": reason, "message": message}
        established = {
            "type": ESTABLISHED,
            "status": "False",
            "reason": "NotAccepted",
            "message": "not all names are accepted",
        }
        was = is_true(body, ESTABLISHED)
    else:
        status["acceptedNames"] = names_of(body)
        accepted = {
            "type": NAMES_ACCEPTED,
            "status": "True",
            "reason": "NoConflicts",
            "message": "no conflicts found",
        }
        established = {
            "type": ESTABLISHED,
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        }
        was = False
    conditions = set_condition(conditions, accepted, at=now)
    if not was:  # what is established stays so: its objects are there
        conditions = set_condition(conditions, established, at=now)
    status["conditions"] = conditions
    status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    status["storedVersions"] = _stored_versions(body)
    return status


def _stored_versions(body: Body) -> list[str]:
    stored = list((body.get("status") or {}).get("storedVersions") or ())
    kept = next((version["name"] for version in body["spec"]["versions"] if version.get("storage")), "")
    return [*stored, kept] if kept and kept not in stored else stored


def is_true(body: Body, condition: str) -> bool:
    """Tell whether a condition of ``body`` is True."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == condition and each.get("status") == "True" for each in conditions)
