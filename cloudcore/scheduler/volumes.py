"""What a pod's claims mean for where it can go. Sans-IO; reads caches through :class:`ClaimLookup`.

A claim that is bound binds its pod to the nodes that have its volume. One that waits for its pod
(``WaitForFirstConsumer``) leaves the nodes that have a volume for it; once a node is chosen, that is written to the
claim, the binder binds it there, and only then is the pod placed: so a volume that another claim takes first costs a
round, and never a pod on a node without its data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from cloudcore.scheduler.podshape import NodeTerm, term_of
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS
from protocol.objects.storageclasses import (
    NO_PROVISIONER,
    SELECTED_NODE,
    annotation,
    class_of,
    is_bound,
    waits_for_pod,
)
from protocol.objects.volumematching import find_volume, is_kept_for

Alternatives = tuple[NodeTerm, ...]
"""Of these terms one must match."""

_EXCLUSIVE = "ReadWriteOncePod"


class ClaimLookup(Protocol):
    """Where claims, volumes and classes are found."""

    def claim(self, key: ObjectKey) -> Body | None:
        """Return the claim."""

    def volume(self, name: str) -> Body | None:
        """Return the volume."""

    def volumes(self) -> list[Body]:
        """Return all volumes."""

    def storage_class(self, name: str) -> Body | None:
        """Return the class."""

    def users(self, key: ObjectKey) -> Iterable[Body]:
        """Return the pods on nodes that name the claim and have not ended."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a pod's claims ask of its node.

    Attributes:
        places: For each claim that is bound to a place, or can be, the terms of which a node must match one.
        waiting: Claims that are to be told the node that is chosen.
        problem: Why the pod can go nowhere now, whatever the node; empty if it can.
        binding: Whether a node has been chosen and claims are just being bound there: there is nothing to complain of.
    """

    places: tuple[Alternatives, ...] = ()
    waiting: tuple[ObjectKey, ...] = ()
    problem: str = ""
    binding: bool = False


NONE = Restriction()


def restriction(pod: Body, lookup: ClaimLookup) -> Restriction:
    """Return what the claims of ``pod`` ask of its node."""
    if not pod["spec"].get("volumes"):
        return NONE
    places: list[Alternatives] = []
    waiting = []
    for key in sorted(key for key in pod_references(pod) if key.resource == CLAIMS):
        claim = lookup.claim(key)
        problem = _problem(pod, key, claim, lookup)
        if problem or claim is None:
            return Restriction(problem=problem)
        if not is_bound(claim) and annotation(claim, SELECTED_NODE):
            return Restriction(problem=f'persistentvolumeclaim "{key.name}" is being bound', binding=True)
        if not is_bound(claim):
            waiting.append(key)
            places += _candidates(claim, lookup)
        else:
            places += _places(lookup.volume(claim["spec"]["volumeName"]))
    return Restriction(tuple(places), tuple(waiting))


def _problem(pod: Body, key: ObjectKey, claim: Body | None, lookup: ClaimLookup) -> str:
    if claim is None:
        return f'persistentvolumeclaim "{key.name}" not found'
    if claim["metadata"].get("deletionTimestamp"):
        return f'persistentvolumeclaim "{key.name}" is being deleted'
    if is_bound(claim):
        name = claim["spec"]["volumeName"]
        if lookup.volume(name) is None:
            return f'persistentvolume "{name}" not found'
    elif not waits_for_pod(lookup.storage_class(class_of(claim))):
        return "pod has unbound immediate PersistentVolumeClaims"
    exclusive = _EXCLUSIVE in (claim["spec"].get("accessModes") or ())
    if exclusive and any(user["metadata"]["uid"] != pod["metadata"]["uid"] for user in lookup.users(key)):
        return "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    return ""


def _places(volume: Body | None) -> Iterator[Alternatives]:
    required = ((volume or {"spec": {}})["spec"].get("nodeAffinity") or {}).get("required")
    if required:
        yield tuple(term_of(term) for term in required.get("nodeSelectorTerms") or ())


def _candidates(claim: Body, lookup: ClaimLookup) -> Iterator[Alternatives]:
    """Yield where a claim that waits can be bound; nothing where that is anywhere."""
    storage_class = lookup.storage_class(class_of(claim))
    if storage_class is not None and storage_class.get("provisioner") != NO_PROVISIONER:
        return
    terms: list[NodeTerm] = []
    for volume in lookup.volumes():
        if find_volume(claim, [volume]) is None:
            continue
        own = [term for alternatives in _places(volume) for term in alternatives]
        if not own:
            return
        if is_kept_for(volume, claim):
            terms = own
            break
        terms += own
    yield tuple(dict.fromkeys(terms))
