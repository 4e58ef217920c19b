"""Static pods and their mirrors: pods that come from a file of their node, and the objects that show them in the cloud.

Source: Kubernetes "Create static Pods"; what a mirror may not name is that of its admission plugins NodeRestriction and
ServiceAccount.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body, Uid
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS
from protocol.objects.wellknown import CONFIG_HASH, CONFIG_SOURCE, MIRROR

FILE: Final = "file"
"""Where a static pod comes from, as its annotation says."""

_REFUSED: Final = {
    CONFIG_MAPS: "ConfigMap",
    SECRETS: "Secret",
    SERVICE_ACCOUNTS: "ServiceAccount",
    CLAIMS: "PersistentVolumeClaim",
}


def is_static(pod: Body) -> bool:
    """Tell whether ``pod`` runs from a file of this node; its mirror does not, though it carries the same annotation.

    Not by annotations alone, which whoever may write pods could set to have one that is never evicted: a static pod's
    uid is the hash of its file, while the API makes uids with hyphens and lets nobody choose one.
    """
    uid = str(pod["metadata"].get("uid") or "")
    from_file = _annotation(pod, CONFIG_SOURCE) == FILE and _annotation(pod, CONFIG_HASH) == uid and "-" not in uid
    return from_file and bool(uid) and not is_mirror(pod)


def is_mirror(pod: Body) -> bool:
    """Tell whether ``pod`` only shows a static pod of its node: it is never run."""
    return bool(mirrored_uid(pod))


def mirrored_uid(pod: Body) -> Uid:
    """Return the uid that the pod behind a mirror has on its node; empty where ``pod`` is no mirror."""
    return Uid(_annotation(pod, MIRROR))


def refused_references(pod: Body) -> list[str]:
    """Return what ``pod`` names of the API's objects and, being static, may not: ``Secret "s"`` and the like."""
    named = [f'{_REFUSED[key.resource]} "{key.name}"' for key in pod_references(pod) if key.resource in _REFUSED]
    spec = pod.get("spec")
    for volume in (spec.get("volumes") if isinstance(spec, dict) else None) or ():
        for source in ((volume.get("projected") or {}).get("sources") or ()) if isinstance(volume, dict) else ():
            if "serviceAccountToken" in source:
                named.append("a service account's token")
    return sorted(named)


def _annotation(pod: Body, name: str) -> str:
    annotations = pod["metadata"].get("annotations")
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""
