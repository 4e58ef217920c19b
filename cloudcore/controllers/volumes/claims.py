"""What is to be done about one claim. Pure. Source: Kubernetes' ``syncClaim``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.objects.keys import Body
from protocol.objects.storageclasses import (
    BIND_COMPLETED,
    NO_PROVISIONER,
    SELECTED_NODE,
    annotation,
    class_of,
    default_class,
    states_class,
    waits_for_pod,
)
from protocol.objects.volumematching import find_volume, is_kept_for, why_not


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind the claim to this volume, or go on with it."""

    volume: Body


@dataclass(frozen=True, slots=True)
class Stay:
    """Leave the claim as it is, in this phase, and say why.

    Attributes:
        phase: ``Pending`` or ``Lost``.
        reason: Of the Event; empty for none.
        message: Of the Event.
        warning: Its type.
        drop_node: Take the chosen node back: the pod has to be scheduled anew.
    """

    phase: str
    reason: str = ""
    message: str = ""
    warning: bool = False
    drop_node: bool = False


@dataclass(frozen=True, slots=True)
class TakeClass:
    """Give the claim, which names no storage class, the default one."""

    name: str


@dataclass(frozen=True, slots=True)
class Provision:
    """Have somebody outside make a volume for the claim."""

    provisioner: str


Decision = Bind | Stay | TakeClass | Provision


@dataclass(frozen=True, slots=True)
class World:
    """What a decision is made from.

    Attributes:
        volumes: All of them.
        classes: All storage classes.
        node: The node chosen for the claim's pod; None where none is, or it is gone.
    """

    volumes: Sequence[Body]
    classes: Sequence[Body]
    node: Body | None = None

    def volume(self, name: str) -> Body | None:
        """Return the volume of that name."""
        return next((body for body in self.volumes if body["metadata"]["name"] == name), None)

    def storage_class(self, name: str) -> Body | None:
        """Return the storage class of that name."""
        return next((body for body in self.classes if body["metadata"]["name"] == name), None)


def plan_claim(claim: Body, world: World) -> Decision:
    """Return what is to be done about ``claim``."""
    name = claim["spec"].get("volumeName") or ""
    if annotation(claim, BIND_COMPLETED):
        return _plan_bound(claim, world.volume(name) if name else None)
    return _plan_named(claim, world.volume(name)) if name else _plan_free(claim, world)


def _plan_bound(claim: Body, volume: Body | None) -> Decision:
    if volume is None:
        why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return Stay("Lost", "ClaimLost", why, warning=True)
    if not volume["spec"].get("claimRef") or is_kept_for(volume, claim):
        return Bind(volume)
    return Stay("Lost", "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly", True)


def _plan_named(claim: Body, volume: Body | None) -> Decision:
    if volume is None:
        return Stay("Pending")
    if volume["spec"].get("claimRef") and not is_kept_for(volume, claim):
        other = volume["spec"]["claimRef"].get("name", "")
        return Stay(
            "Pending", "FailedBinding", f'volume "{volume["metadata"]["name"]}" already bound to "{other}"', True
        )
    wrong = why_not(claim, volume)
    if wrong:
        why = f'Cannot bind to requested volume "{volume["metadata"]["name"]}": {wrong}'
        return Stay("Pending", "VolumeMismatch", why, warning=True)
    return Bind(volume)


def _plan_free(claim: Body, world: World) -> Decision:
    default = None if states_class(claim) else default_class(world.classes)
    if default is not None:
        return TakeClass(default["metadata"]["name"])
    storage_class = world.storage_class(class_of(claim))
    chosen = annotation(claim, SELECTED_NODE)
    delayed = waits_for_pod(storage_class)
    # A node that was chosen and is gone is no node: the pod is scheduled anew.
    found = find_volume(claim, world.volumes, node=world.node, delayed=delayed and world.node is None)
    if found is not None:
        return Bind(found)
    if delayed and not chosen:
        return Stay("Pending", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    if storage_class is not None and storage_class["provisioner"] != NO_PROVISIONER and (world.node or not delayed):
        return Provision(storage_class["provisioner"])
    why = "no persistent volumes available for this claim and no storage class is set"
    if class_of(claim):
        what = f'storage class "{class_of(claim)}"'
        why = f"no persistent volumes available for this claim, and {what} "
        why += "does not exist" if storage_class is None else "provisions none"
    return Stay("Pending", "FailedBinding", why, drop_node=bool(chosen))
