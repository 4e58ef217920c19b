"""From a manifest of this device to the pod that runs. Performs no I/O.

A pod's uid is a hash of what stands in the file, of the file's path and of the node: the same file is the same pod for
ever, also after a restart or an upgrade of the agent, and a changed one is another pod, which takes the place of the
first once that has stopped. Source: Kubernetes ``pkg/kubelet/config/common.go``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from edgecore.statics.documents import ManifestError
from edgecore.statics.shapes import POD, faults, required, without_nulls
from protocol.objects.keys import Body, NodeName, Uid
from protocol.objects.mirrors import FILE, refused_references
from protocol.objects.poddefaults import default_pod
from protocol.objects.wellknown import CONFIG_HASH, CONFIG_SEEN, CONFIG_SOURCE, MIRROR

DEFAULT_NAMESPACE: Final = "default"
SYSTEM_PRIORITIES: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""The PriorityClasses that are known without a cloud."""
LONGEST_NAME: Final = 253
_NO_EXECUTE: Final = {"operator": "Exists", "effect": "NoExecute"}
_TOLD: Final = 3
_OWN: Final = (CONFIG_HASH, CONFIG_SOURCE, CONFIG_SEEN, MIRROR)
"""Annotations that are the agent's to write."""


def static_pod(manifest: Body, *, node: NodeName, path: str, seen: str) -> Body:
    """Return the pod that ``manifest`` describes, complete.

    Args:
        manifest: A Pod, as it stands in the file.
        node: This node.
        path: The file.
        seen: When the agent first saw this version of it, a Kubernetes timestamp.

    Raises:
        ManifestError: It is not a pod that can run here.
    """
    uid = _uid(manifest, node, path)
    pod: Body = without_nulls(manifest)
    _check(pod, node)
    metadata = pod["metadata"]
    name = f"{metadata['name']}-{node}"
    if len(name) > LONGEST_NAME:
        raise ManifestError(f"metadata.name: with the node's name it has {len(name)} characters, {LONGEST_NAME} fit")
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _OWN}
    own = {CONFIG_HASH: uid, CONFIG_SOURCE: FILE, CONFIG_SEEN: seen}
    kept = {field: metadata[field] for field in ("labels",) if metadata.get(field)}
    spec = {**pod["spec"], "nodeName": node}
    _set_priority(spec)
    spec["tolerations"] = [*(spec.get("tolerations") or ()), _NO_EXECUTE]
    complete: Body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": metadata.get("namespace") or DEFAULT_NAMESPACE,
            "uid": uid,
            "creationTimestamp": seen,
            **kept,
            "annotations": {**annotations, **own},
        },
        "spec": spec,
    }
    default_pod(complete)
    return complete


def _check(pod: Body, node: NodeName) -> None:
    wrong = list(islice(faults(pod, POD), _TOLD)) or list(islice(required(pod), _TOLD))
    if wrong:
        raise ManifestError("; ".join(wrong))
    refused = refused_references(pod)
    if refused:
        raise ManifestError(f"a static pod may not name objects of the API: {', '.join(refused[:_TOLD])}")
    bound = pod["spec"].get("nodeName", node)
    if bound != node:
        raise ManifestError(f"spec.nodeName: it is for node {bound}, this is {node}")


def _set_priority(spec: Body) -> None:
    """Resolve the class as the API server does, of those that are the same everywhere.

    Raises:
        ManifestError: It is another, or not what the pod states beside it.
    """
    name = spec.get("priorityClassName", "")
    if name and name not in SYSTEM_PRIORITIES:
        raise ManifestError(f"spec.priorityClassName: static pods can have {' and '.join(SYSTEM_PRIORITIES)} only")
    value = SYSTEM_PRIORITIES.get(name, 0)
    if spec.get("priority", value) != value:
        raise ManifestError(f"spec.priority: must be {value}, which goes with the PriorityClass {name or '(none)'}")
    spec["priority"] = value


def _uid(manifest: Body, node: NodeName, path: str) -> Uid:
    content = json.dumps({**manifest, "status": None}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    named = "\0".join((f"host:{node}", f"file:{path}", content))
    return Uid(hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())


def named_twice(pods: Iterable[Body], taken: dict[tuple[str, str], str], path: str) -> None:
    """Note the names of a file's pods in ``taken``.

    Raises:
        ManifestError: One of them is another pod's; ``taken`` is as it was.
    """
    fresh: dict[tuple[str, str], str] = {}
    for pod in pods:
        metadata: dict[str, Any] = pod["metadata"]
        name = (metadata["namespace"], metadata["name"])
        owner = fresh.get(name) or taken.get(name)
        if owner is not None:
            raise ManifestError(f"pod {name[0]}/{name[1]} is in {owner} too")
        fresh[name] = path
    taken.update(fresh)
