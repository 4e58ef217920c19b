"""persistentVolumeClaim: which folder of this node a pod's claim stands for. Pure.

A claim that is bound names its volume, and the volume names the claim; both must be here, and say so of each other,
before a pod may use them. Only volumes that are folders of the node are to be had on one: ``local`` and ``hostPath``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgecore.pods.sources import ReferenceMissing, Sources
from protocol.objects.keys import Body
from protocol.objects.nodeselectors import matches_node

_EXCLUSIVE: Final = "ReadWriteOncePod"


@dataclass(frozen=True, slots=True)
class Backing:
    """What stands behind a claim.

    Attributes:
        claim: The claim's uid.
        name: Its name.
        path: On this node.
        kind: ``hostPath.type``; empty for a local volume, whose folder must be there.
        local: Whether it is a local volume.
        read_only: Whether nothing may be written there, whatever the mount says.
        exclusive: Whether only one pod at a time may use it (``ReadWriteOncePod``).
    """

    claim: str
    name: str
    path: str
    kind: str
    local: bool
    read_only: bool
    exclusive: bool


def is_claim(volume: Body) -> bool:
    """Tell whether the pod's volume is a claim's."""
    return "persistentVolumeClaim" in volume or "ephemeral" in volume


def backing(volume: Body, pod: Body, sources: Sources) -> Backing:
    """Return what stands behind a pod's volume.

    Raises:
        ReferenceMissing: Claim or volume are not here, not bound, not for this node or not for a pod's file system.
    """
    claim = _claim(volume, pod, sources)
    namespace, name = pod["metadata"].get("namespace", ""), claim["metadata"]["name"]
    spec = claim.get("spec") or {}
    held = sources.persistent_volume(spec.get("volumeName") or "") if spec.get("volumeName") else None
    if not spec.get("volumeName"):
        raise ReferenceMissing(f'PersistentVolumeClaim "{namespace}/{name}" is not bound')
    if held is None:
        raise ReferenceMissing(f'persistentvolume "{spec["volumeName"]}" not found')
    what = held.get("spec") or {}
    if (what.get("claimRef") or {}).get("uid") != claim["metadata"].get("uid"):
        raise ReferenceMissing(f'PersistentVolume "{spec["volumeName"]}" is not bound to claim "{namespace}/{name}"')
    _check_node(held, sources)
    if what.get("volumeMode", "Filesystem") != "Filesystem":
        raise ReferenceMissing(f'volume "{volume["name"]}" has volumeMode Block, which this node does not support')
    return _backing(volume, claim, what)


def _claim(volume: Body, pod: Body, sources: Sources) -> Body:
    generic = "ephemeral" in volume
    own = f"{pod['metadata']['name']}-{volume['name']}"
    name = own if generic else volume["persistentVolumeClaim"]["claimName"]
    claim = sources.claim(name)
    if claim is None:
        raise ReferenceMissing(f'persistentvolumeclaim "{name}" not found')
    if "deletionTimestamp" in claim["metadata"] and not claim["metadata"].get("finalizers"):
        raise ReferenceMissing(f'persistentvolumeclaim "{name}" is being deleted')
    owners = {owner.get("uid") for owner in claim["metadata"].get("ownerReferences") or ()}
    if generic and pod["metadata"].get("uid") not in owners:
        raise ReferenceMissing(f'PVC "{name}" was not created for pod "{pod["metadata"]["name"]}" (pod is not owner)')
    return claim


def _check_node(volume: Body, sources: Sources) -> None:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    name, labels = sources.node()
    if not matches_node(required, name, labels):
        found = volume["metadata"]["name"]
        raise ReferenceMissing(f'no matching NodeSelectorTerms: PersistentVolume "{found}" is not for node "{name}"')


def _backing(volume: Body, claim: Body, what: Body) -> Backing:
    modes = set(what.get("accessModes") or ())
    source = what.get("local") or what.get("hostPath")
    if not source:
        kinds = sorted(name for name, value in what.items() if isinstance(value, dict) and name not in _NO_SOURCES)
        raise ReferenceMissing(f"volumes of type {', '.join(kinds) or 'unknown'} are not supported on this node")
    read_only = bool((volume.get("persistentVolumeClaim") or {}).get("readOnly")) or modes == {"ReadOnlyMany"}
    return Backing(
        claim=str(claim["metadata"].get("uid", "")),
        name=claim["metadata"]["name"],
        path=str(source["path"]),
        kind=str(source.get("type") or "") if "hostPath" in what else "",
        local="local" in what,
        read_only=read_only,
        exclusive=_EXCLUSIVE in (claim["spec"].get("accessModes") or ()),
    )


_NO_SOURCES: Final = frozenset({"capacity", "claimRef", "nodeAffinity"})
