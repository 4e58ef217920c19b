"""What is to be done about one volume. Pure. Source: Kubernetes' ``syncVolume`` and ``reclaimVolume``."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.objects.keys import Body
from protocol.objects.storageclasses import BOUND_BY_CONTROLLER, PROVISIONED_BY, annotation


@dataclass(frozen=True, slots=True)
class Enter:
    """Bring the volume into this phase.

    Attributes:
        phase: ``Available``, ``Bound``, ``Released`` or ``Failed``.
        reason: Of the Event; empty for none.
        message: Of the Event, and of the status.
    """

    phase: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unbind:
    """Take the claim off the volume: it went to another one."""

    keep_name: bool


Decision = Enter | Unbind


def plan_volume(volume: Body, claim: Body | None) -> Decision:
    """Return what is to be done about ``volume``.

    Args:
        volume: The volume.
        claim: What its ``claimRef`` names, of whatever uid; None where there is no such claim.
    """
    reference = volume["spec"].get("claimRef")
    if not reference or not reference.get("uid"):
        return Enter("Available")
    if claim is None or claim["metadata"].get("uid") != reference["uid"]:
        return _give_back(volume)
    bound_to = (claim.get("spec") or {}).get("volumeName") or ""
    if bound_to and bound_to != volume["metadata"]["name"]:
        return Unbind(keep_name=not annotation(volume, BOUND_BY_CONTROLLER))
    # A claim that does not name the volume yet is about to: it is at that now.
    return Enter("Bound")


def _give_back(volume: Body) -> Decision:
    policy = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
    name = volume["metadata"]["name"]
    if policy == "Retain" or annotation(volume, PROVISIONED_BY):
        # What somebody outside made is theirs to delete, and they look for this phase.
        return Enter("Released")
    if policy == "Recycle":
        return Enter("Failed", "VolumeFailedRecycle", "recycling is deprecated, and no volume is recycled here")
    why = f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
    return Enter("Failed", "VolumeFailedDelete", why)
