"""What to do with an item that came down the link. The cloud is the authority on what should be held.

===========================  =======================================  ==========================================
item                         held under its key                       decision
===========================  =======================================  ==========================================
put                          nothing                                  hold it
put                          anything, of another line                hold it: versions of two lines have no order
put, version not newer       anything of this line, whatever its uid  leave: an item that was overtaken
put, version newer           the same uid                             hold it
put, version newer           another uid                              hold it; what was held is the ``previous``
delete                       nothing                                  leave: done already
delete                       the same uid                             drop it
delete                       another uid                              leave: that one is not meant
put that cannot be decoded   anything                                 reject: sending it again cannot help
===========================  =======================================  ==========================================

A *line* is the succession of revisions of one store incarnation (``docs/semantics.md``). Revisions are global
within it, so a new object always has a newer version than an earlier one of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecore.meta.engine import ObjectRow
from edgecore.meta.slice import UndecodableBody, decode
from protocol.objects.keys import Uid


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold ``row``."""

    row: ObjectRow


@dataclass(frozen=True, slots=True)
class Drop:
    """Hold nothing under the item's key."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Change nothing; the item counts as applied."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The item can never be applied; the reason goes back with the code."""

    code: str
    reason: str


Decision = Hold | Drop | Leave | Reject

LEAVE = Leave()


def on_put(held: ObjectRow | None, row: ObjectRow) -> Decision:
    """Decide on a put of ``row`` (its ``line`` being the session's) where ``held`` is held under its key."""
    if held is not None and held.line == row.line and row.version <= held.version:
        return LEAVE
    fault = _fault(row)
    return Hold(row) if fault is None else Reject("Undecodable", fault)


def on_delete(held: ObjectRow | None, uid: Uid) -> Decision:
    """Decide on a delete of the object ``uid`` where ``held`` is held under its key."""
    return Drop() if held is not None and held.uid == uid else LEAVE


def _fault(row: ObjectRow) -> str | None:
    try:
        metadata = decode(row.body)["metadata"]
    except UndecodableBody as error:
        return str(error)
    named = (metadata.get("namespace", ""), metadata.get("name"), metadata.get("uid", ""))
    expected = (row.key.namespace, row.key.name, row.uid)
    return None if named == expected else f"body is of {named}, the item of {expected}"
