"""Which volume suits a claim. Pure. Source: Kubernetes' ``FindMatchingVolume``."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from protocol.objects.keys import Body
from protocol.objects.nodeselectors import matches_node
from protocol.objects.quantities import parse_quantity
from protocol.objects.selectors import label_selector, matches
from protocol.objects.storageclasses import class_of

_ZERO = Decimal(0)


def find_volume(
    claim: Body, volumes: Iterable[Body], *, node: Body | None = None, delayed: bool = False
) -> Body | None:
    """Return the smallest volume that suits ``claim``, one that is kept for it before all others.

    Args:
        claim: The claim; its ``volumeName`` is not looked at.
        volumes: All volumes.
        node: The node that a pod is to use the claim on; None leaves that open.
        delayed: Take only what is kept for the claim: a pod has to find its node first.
    """
    found: Body | None = None
    for volume in sorted(volumes, key=lambda body: (_capacity(body), body["metadata"]["name"])):
        if volume["metadata"].get("deletionTimestamp") or _capacity(volume) < requested(claim):
            continue
        if not _same_mode(claim, volume) or (node is not None and not usable_on(volume, node)):
            continue
        if is_kept_for(volume, claim):
            return volume
        if found is None and not delayed and suits(claim, volume):
            found = volume
    return found


def suits(claim: Body, volume: Body) -> bool:
    """Tell whether a volume that nobody has is what ``claim`` asks for; size, mode and node aside."""
    spec = volume["spec"]
    if spec.get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
        return False
    wanted = claim["spec"]
    return (
        class_of(claim) == class_of(volume)
        and set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
        and (
            not wanted.get("selector") or matches(label_selector(wanted["selector"]), volume["metadata"].get("labels"))
        )
    )


def why_not(claim: Body, volume: Body) -> str:
    """Return why ``claim`` cannot have the volume that it names, or an empty string."""
    if _capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(claim) != class_of(volume):
        return "storageClassName does not match"
    if not _same_mode(claim, volume):
        return "incompatible volumeMode"
    if not set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def is_kept_for(volume: Body, claim: Body) -> bool:
    """Tell whether the volume names this claim, by uid or, before they are bound, by name alone."""
    reference = volume["spec"].get("claimRef") or {}
    metadata = claim["metadata"]
    if (reference.get("namespace"), reference.get("name")) != (metadata.get("namespace"), metadata["name"]):
        return False
    return reference.get("uid") in (None, "", metadata.get("uid"))


def usable_on(volume: Body, node: Body) -> bool:
    """Tell whether a volume can be used on ``node``."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return matches_node(required, node["metadata"]["name"], node["metadata"].get("labels") or {})


def requested(claim: Body) -> Decimal:
    """Return the size that a claim asks for."""
    amount = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return _ZERO if amount is None else parse_quantity(amount)


def _capacity(volume: Body) -> Decimal:
    amount = (volume["spec"].get("capacity") or {}).get("storage")
    return _ZERO if amount is None else parse_quantity(amount)


def _same_mode(claim: Body, volume: Body) -> bool:
    default = "Filesystem"
    return bool(claim["spec"].get("volumeMode", default) == volume["spec"].get("volumeMode", default))
