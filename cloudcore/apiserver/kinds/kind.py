"""One row of the table of kinds: everything the verbs need to know about a kind of object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cloudcore.errors import Cause
from protocol.objects.keys import Body

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

Mutator = Callable[[Body], None]
"""Changes an object in place: defaults, or what a strategy resets before a write."""

UpdateMutator = Callable[[Body, Body], None]
"""Changes the first object (the new one) in place, knowing the second (the stored one)."""

Rule = Callable[[Body], list[Cause]]
"""Returns what is wrong with an object; empty when nothing is."""

UpdateRule = Callable[[Body, Body], list[Cause]]
"""Returns what is wrong with a change: new object, stored object."""


def _no_change(_body: Body) -> None:
    """Leave the object as it is."""


def _no_update_change(_body: Body, _old: Body) -> None:
    """Leave the object as it is."""


def _no_rule(_body: Body) -> list[Cause]:
    return []


def _no_update_rule(_body: Body, _old: Body) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Subresource:
    """A part of an object with a path of its own.

    Attributes:
        name: Last element of the path: ``status``, ``scale``, ``binding``…
        kind: Kind of the body it takes and returns.
        group: Group of that kind; as in discovery, only differing ones need be read.
        version: Version of that kind.
        verbs: What may be done with it.
    """

    name: str
    kind: str
    group: str = ""
    version: str = "v1"
    verbs: tuple[str, ...] = ("get", "patch", "update")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """A row of the table; there is one of each, compared by identity.

    Attributes:
        kind: ``Deployment``.
        plural: ``deployments``.
        group: ``apps``; empty for the core group.
        version: ``v1``.
        schema: Name of its definition in the Kubernetes OpenAPI document; empty: not checked against one.
        singular: ``deployment``; the kind in lower case unless given.
        namespaced: Whether objects live in namespaces.
        short_names: ``deploy``.
        categories: ``all``.
        verbs: What may be done with it.
        subresources: Its subresources.
        fields: Paths that field selectors may name beyond the metadata's, with the value an absent one has.
        status: Whether it has a status that only the status subresource writes.
        status_at_create: Whether a client may give the status when it creates the object (nodes).
        generation: Whether ``metadata.generation`` counts the changes of everything but metadata and status.
        graceful: Whether a deletion waits for the node that runs it (pods).
        virtual: Whether its objects come from a provider instead of the store; such kinds are read-only.
        name_rule: ``subdomain``, ``label`` (no dots), ``service`` (a label that starts with a letter) or ``path``.
        defaults: Fills absent fields.
        prepare_create: Resets what a client may not choose on create.
        prepare_update: Resets what a client may not change on update.
        validate: Rules of an object beyond its schema.
        validate_update: Rules of a change.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    schema: str = ""
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    status: bool = False
    status_at_create: bool = False
    generation: bool = False
    graceful: bool = False
    virtual: bool = False
    name_rule: str = "subdomain"
    defaults: Mutator = _no_change
    prepare_create: Mutator = _no_change
    prepare_update: UpdateMutator = _no_update_change
    validate: Rule = _no_rule
    validate_update: UpdateRule = _no_update_rule
    resource: str = field(init=False)
    api_version: str = field(init=False)
    list_kind: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive the names that others ask for often."""
        derive = object.__setattr__
        derive(self, "singular", self.singular or self.kind.lower())
        derive(self, "resource", f"{self.plural}.{self.group}" if self.group else self.plural)
        derive(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        derive(self, "list_kind", f"{self.kind}List")

    @property
    def qualified(self) -> str:
        """The kind with its group, as messages name it: ``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def subresource(self, name: str) -> Subresource | None:
        """Return the subresource called ``name``, or None."""
        return next((sub for sub in self.subresources if sub.name == name), None)


def status_of(kind: str, group: str = "") -> Subresource:
    """Return the row of a ``status`` subresource."""
    return Subresource(name="status", kind=kind, group=group)


SCALE = Subresource(name="scale", kind="Scale", group="autoscaling", version="v1")
