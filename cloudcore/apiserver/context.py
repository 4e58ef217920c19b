"""Who asks, and how: what a verb needs to know of a request, free of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cloudcore.apiserver.kinds.kind import Kind
from protocol.objects.keys import ObjectKey
from protocol.objects.wellknown import NODE_USER_PREFIX, NODES_GROUP

FieldValidation = Literal["Strict", "Warn", "Ignore"]


def _permit(_verb: str) -> None:
    """Let the cloud's own parts do what they want."""


@dataclass(frozen=True, slots=True)
class Context:
    """One request's circumstances.

    Attributes:
        user: The authenticated user's name.
        groups: The user's groups.
        dry_run: Run everything but the write.
        field_validation: What to do with fields the schema does not know.
        field_manager: Whom the fields that it sets are noted for; empty for the cloud's own parts, which are noted
            under their user's name where they are noted at all.
        warnings: Collects what goes into ``Warning`` headers.
        uid: Tells the user from others that had its name before; empty where that is not known.
        extra: What else its credentials say.
        require: Raises ``Forbidden`` unless the user may do another verb too with what it speaks of.
    """

    user: str
    groups: tuple[str, ...] = ()
    dry_run: bool = False
    field_validation: FieldValidation = "Warn"
    field_manager: str = ""
    warnings: list[str] = field(default_factory=list)
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    require: Callable[[str], None] = _permit

    @property
    def node(self) -> str:
        """The node that asks; empty where it is none."""
        is_node = NODES_GROUP in self.groups and self.user.startswith(NODE_USER_PREFIX)
        return self.user.removeprefix(NODE_USER_PREFIX) if is_node else ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request speaks of.

    Attributes:
        kind: The row under which objects of its kind are kept.
        namespace: Empty for cluster scope.
        name: Empty where a verb speaks of the whole collection, or creates.
        subresource: ``status``, ``scale``…; empty for the object itself.
        version: The row of the version that the request speaks, where that is not the one that is kept.
    """

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    version: Kind | None = None

    @property
    def key(self) -> ObjectKey:
        """The object's key in the store."""
        return ObjectKey(self.kind.resource, self.namespace, self.name)
