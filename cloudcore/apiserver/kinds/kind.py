"""One row of the table of kinds: everything the verbs need to know about a kind of object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cloudcore.errors import Cause
from cloudcore.store.base import Record
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


class Observer(Protocol):
    """Takes note of a committed write, before its author is answered."""

    def __call__(self, record: Record, *, removed: bool) -> None:
        """Take note of the object's new state, or, if it was removed, of its last one."""


def _no_observer(record: Record, *, removed: bool) -> None:
    """Take no note."""


class Custom(Protocol):
    """What a custom kind has of its own: everything that follows from its definition's schema."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The structural schema, as the definition has it."""

    @property
    def columns(self) -> Sequence[Mapping[str, Any]]:
        """The ``additionalPrinterColumns``."""

    @property
    def scale(self) -> Mapping[str, str] | None:
        """The paths of the ``scale`` subresource, if there is one."""

    def default_status(self, body: Body) -> None:
        """Fill the absent fields of the status."""

    def prune(self, body: Body) -> list[str]:
        """Drop what the schema does not know, metadata aside, and return the paths of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subresource:
    """A part of an object with a path of its own.

    Attributes:
        name: Last element of the path: ``status``, ``scale``, ``binding``…
        kind: Kind of the body it takes and returns.
        group: Group of that kind; as in discovery, only differing ones need be read.
        version: Version of that kind.
        verbs: What may be done with it.
        streamed: Whether it is a conversation with the node that runs the object, not a part of the object.
    """

    name: str
    kind: str
    group: str = ""
    version: str = "v1"
    verbs: tuple[str, ...] = ("get", "patch", "update")
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """How objects of a version that is served are kept as those of another.

    Neither function changes its argument; what it returns may share parts with it. A round trip loses nothing that
    the served version can say, and what it cannot say is kept for the way back.

    Attributes:
        stored: The row of the version that is kept.
        inward: Turns an object of the served version into one of the kept version.
        outward: Turns a kept object into one of the served version.
        check: Rules of a new object of the served version, beyond those of the one that is kept.
    """

    stored: Kind
    inward: Callable[[Body], Body]
    outward: Callable[[Body], Body]
    check: Rule = _no_rule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Kind:
    """A row of the table; there is one of each, compared by identity.

    Attributes:
        kind: ``Deployment``.
        plural: ``deployments``.
        list_kind: ``DeploymentList``; follows from the kind unless given.
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
        first_status: The status of a new object, before anyone has reported one: clients rely on its being there.
            None: it has none.
        returns_deleted: Whether a deletion is answered with the object that is gone, instead of with a Status.
        generation: Whether ``metadata.generation`` counts the changes of everything but metadata and status.
        graceful: Whether a deletion waits for the node that runs it (pods).
        virtual: Whether its objects come from a provider instead of the store; the registry knows who takes new ones.
        aliases: Other names of fields in field selectors, with the path each stands for.
        conversion: Set on a version that is served but kept as another; its row has only names, schema and rules of
            its own, all else comes from the row that is kept.
        inert: Why objects of this kind have no effect yet; said in a warning to whoever creates one. Empty: they do.
        served: Whether it has a path; the version that is kept need not have one.
        custom: What a kind with a structural schema has of its own; None for every other kind.
        defined: Whether a CustomResourceDefinition made it, and may change it or take it away.
        deprecation: The warning whoever uses this version gets; empty: it is not deprecated.
        put_creates: Whether an update of an object that is not there creates it.
        ratchets: Whether ``validate_update`` says all there is to say of a change: ``validate`` is for new objects.
        name_rule: ``subdomain``, ``label`` (no dots), ``service`` (a label that starts with a letter) or ``path``.
        defaults: Fills absent fields.
        prepare_create: Resets what a client may not choose on create.
        prepare_update: Resets what a client may not change on update.
        validate: Rules of an object beyond its schema.
        validate_update: Rules of a change.
        validate_status: Rules of a changed status.
        committed: Called with each committed write of an object of this kind.
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
    first_status: Mapping[str, Any] | None = None
    returns_deleted: bool = False
    generation: bool = False
    graceful: bool = False
    virtual: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    conversion: Conversion | None = None
    inert: str = ""
    served: bool = True
    custom: Custom | None = None
    defined: bool = False
    deprecation: str = ""
    put_creates: bool = False
    ratchets: bool = False
    name_rule: str = "subdomain"
    defaults: Mutator = _no_change
    prepare_create: Mutator = _no_change
    prepare_update: UpdateMutator = _no_update_change
    validate: Rule = _no_rule
    validate_update: UpdateRule = _no_update_rule
    validate_status: UpdateRule = _no_update_rule
    committed: Observer = _no_observer
    list_kind: str = ""
    resource: str = field(init=False)
    api_version: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive the names that others ask for often."""
        derive = object.__setattr__
        derive(self, "singular", self.singular or self.kind.lower())
        derive(self, "resource", f"{self.plural}.{self.group}" if self.group else self.plural)
        derive(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        derive(self, "list_kind", self.list_kind or f"{self.kind}List")

    @property
    def stored(self) -> Kind:
        """The row under which objects are kept: this one, unless it is converted."""
        return self if self.conversion is None else self.conversion.stored

    @property
    def qualified(self) -> str:
        """The kind with its group, as messages name it: ``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def subresource(self, name: str) -> Subresource | None:
        """Return the subresource called ``name``, or None."""
        return next((sub for sub in self.subresources if sub.name == name), None)


def status_of(kind: str, group: str = "", version: str = "v1") -> Subresource:
    """Return the row of a ``status`` subresource."""
    return Subresource(name="status", kind=kind, group=group, version=version)


def proxy_of(kind: str) -> Subresource:
    """Return the row of a ``proxy`` subresource, which passes requests on to an object."""
    verbs = ("create", "delete", "get", "patch", "update")
    return Subresource(name="proxy", kind=f"{kind}ProxyOptions", verbs=verbs, streamed=True)


SCALE = Subresource(name="scale", kind="Scale", group="autoscaling", version="v1")


def no_controller(kinds: str) -> str:
    """Return the notice of kinds that are stored while nothing acts on them yet."""
    return f"no controller of this server acts on {kinds} yet: the object is only stored"
