"""What every verb works on: the store, the kinds, the admission chain, and the sources of time and identity."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.custom.definitions import Definitions
from cloudcore.apiserver.kinds import KindTable, builtin_kinds
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.schemas import Schemas
from cloudcore.errors import MethodNotAllowed, NotFound
from cloudcore.security.accounttokens import TokenIssuer
from cloudcore.store.base import Record, Store, encode
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.times import timestamp

Provider = Callable[[], list[Body]]
"""Returns the present objects of a virtual kind, complete but for ``resourceVersion``."""

NamespacedProvider = Callable[[str, str], list[Body]]
"""Returns those of a namespace (empty: of all) that have a name (empty: any)."""
Finder = Callable[[str], Body | None]
"""Returns the object of a virtual kind by its name, in more detail than a list if it likes; None: there is none."""

Creator = Callable[[Body], Body]
"""Takes a new object of a virtual kind, its metadata complete, and returns it as it then is."""

Remover = Callable[[str], object]
"""Removes the object of a virtual kind that has a name."""

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' letters for generated names: no vowels, so that no words appear."""


def _new_uid() -> Uid:
    return Uid(str(uuid.uuid4()))


@dataclass(slots=True)
class Registry:
    """The parts the verbs share.

    Attributes:
        store: Where objects are.
        kinds: The table of kinds.
        admission: What a write has to pass.
        schemas: The schemas objects are checked against.
        clock: Wall clock, seconds since the epoch.
        new_uid: Makes uids.
        rng: Makes suffixes of generated names.
        tokens: Issues service-account tokens; None where there are none to be had.
    """

    store: Store
    kinds: KindTable = field(default_factory=builtin_kinds)
    admission: AdmissionChain = field(default_factory=AdmissionChain)
    schemas: Schemas = field(default_factory=Schemas)
    clock: Callable[[], float] = time.time
    new_uid: Callable[[], Uid] = _new_uid
    rng: Random = field(default_factory=Random)
    tokens: TokenIssuer | None = None
    _providers: dict[str, Provider] = field(default_factory=dict)
    _namespaced: dict[str, NamespacedProvider] = field(default_factory=dict)
    _finders: dict[str, Finder] = field(default_factory=dict)
    _takers: dict[str, tuple[Creator, Remover]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let definitions of custom kinds add to the table."""
        Definitions(self.kinds, self.clock)

    def provide(self, resource: str, provider: Provider, finder: Finder | None = None) -> None:
        """Register where the objects of a virtual kind come from.

        Args:
            resource: The kind's group-resource.
            provider: Returns all of them.
            finder: Returns one; without it, one is looked for among all.

        Raises:
            NotFound: There is no such virtual kind.
        """
        if not self.kinds.of(resource).virtual:
            raise NotFound(f"{resource} is not a virtual resource")
        self._providers[resource] = provider
        if finder is not None:
            self._finders[resource] = finder

    def provide_namespaced(self, resource: str, provider: NamespacedProvider) -> None:
        """Register where the objects of a virtual kind in namespaces come from.

        Raises:
            NotFound: There is no such virtual kind.
        """
        self.provide(resource, lambda: provider("", ""))
        self._namespaced[resource] = provider

    def take(self, resource: str, create: Creator, remove: Remover) -> None:
        """Register who takes new objects of a virtual kind that can be created, and removes them."""
        self._takers[resource] = create, remove

    def create_virtual(self, kind: Kind, body: Body, *, dry_run: bool) -> Record:
        """Create an object of a virtual kind.

        Raises:
            MethodNotAllowed: Nobody takes objects of this kind.
        """
        if kind.resource not in self._takers:
            raise MethodNotAllowed(f"{kind.resource} cannot be created here")
        return self._virtual_record(kind, body if dry_run else self._takers[kind.resource][0](body))

    def remove_virtual(self, kind: Kind, name: str) -> None:
        """Remove an object of a virtual kind.

        Raises:
            MethodNotAllowed: Nobody takes objects of this kind.
        """
        if kind.resource not in self._takers:
            raise MethodNotAllowed(f"{kind.resource} cannot be deleted here")
        self._takers[kind.resource][1](name)

    def virtual_record(self, kind: Kind, name: str, namespace: str = "") -> Record | None:
        """Return the present object of a virtual kind that has ``name`` in ``namespace``, or None."""
        finder = self._finders.get(kind.resource)
        if finder is not None:
            body = finder(name)
            return None if body is None else self._virtual_record(kind, body)
        key = ObjectKey(kind.resource, namespace, name)
        return next((record for record in self.virtual_records(kind, namespace, name) if record.key == key), None)

    def virtual_records(self, kind: Kind, namespace: str = "", name: str = "") -> list[Record]:
        """Return the present objects of a virtual kind as records, sorted by name.

        ``namespace`` and ``name`` spare work where the kind's provider knows them; others may come all the same.
        """
        provider, namespaced = self._providers.get(kind.resource), self._namespaced.get(kind.resource)
        if namespaced is not None:
            bodies = namespaced(namespace, name)
        else:
            bodies = provider() if provider is not None else []
        return sorted((self._virtual_record(kind, body) for body in bodies), key=lambda record: record.key)

    def _virtual_record(self, kind: Kind, body: Body) -> Record:
        body.setdefault("apiVersion", kind.api_version)
        body.setdefault("kind", kind.kind)
        metadata = body["metadata"]
        key = ObjectKey(kind.resource, metadata.get("namespace", ""), metadata["name"])
        revision = self.store.revision
        return Record(key, Uid(metadata.get("uid", "")), revision, revision, encode(body))

    def now(self) -> str:
        """Return the present time as objects carry it."""
        return timestamp(self.clock())

    def generated_name(self, prefix: str) -> str:
        """Return ``prefix`` with a random suffix of five letters, at most 63 characters in all."""
        return prefix[:58] + "".join(self.rng.choices(_SUFFIX_ALPHABET, k=5))


def retained(record: Record, body: Body, revision: Revision | None = None) -> Record:
    """Return a record like ``record`` that carries ``body``: a dry run's result, or a subresource's view."""
    return Record(
        record.key, record.uid, record.revision if revision is None else revision, record.content_revision, encode(body)
    )
