"""From a Deployment's pod template to a ReplicaSet: hash, equality, name, body, annotations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from cloudcore.controllers.deployment import model
from cloudcore.controllers.ownership import controller_reference
from protocol.objects.keys import Body

HASH_LABEL: Final = "pod-template-hash"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_OWN_ANNOTATIONS: Final = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        model.REVISION,
        model.REVISION_HISTORY,
        model.DESIRED_REPLICAS,
        model.MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
"""Annotations that a ReplicaSet does not take over from its Deployment."""


def template_hash(template: Body, collisions: int) -> str:
    """Return ten letters that stand for ``template``; ``collisions`` varies them after a clash of names."""
    text = json.dumps([_normal(template), collisions], sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=10).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)


def same_template(one: Body, other: Body) -> bool:
    """Tell whether two pod templates say the same, the hash label aside."""
    return _normal(one) == _normal(other)


def find_new(deployment: Body, replicasets: Iterable[Body]) -> Body | None:
    """Return the ReplicaSet of the present template; the oldest, should there be several."""
    template = deployment["spec"]["template"]
    same = (entry for entry in replicasets if same_template(entry["spec"]["template"], template))
    return next(iter(model.by_age(same)), None)


def new_replicaset(deployment: Body, collisions: int, revision: int, count: int) -> Body:
    """Return the ReplicaSet to create for the present template, with ``count`` replicas."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    suffix = template_hash(spec["template"], collisions)
    template = labelled(spec["template"], suffix)
    selector = spec["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {
                **inherited(deployment),
                model.REVISION: str(revision),
                **size_annotations(deployment),
            },
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {
            "replicas": count,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: suffix}},
            "template": template,
        },
    }


def labelled(template: Body, suffix: str) -> Body:
    """Return ``template`` with the hash label."""
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: suffix}
    return {**template, "metadata": {**metadata, "labels": labels}}


def inherited(deployment: Body) -> dict[str, str]:
    """Return the annotations that its ReplicaSets carry too."""
    present = deployment["metadata"].get("annotations") or {}
    return {name: value for name, value in present.items() if name not in _OWN_ANNOTATIONS}


def size_annotations(deployment: Body) -> dict[str, str]:
    """Return what a ReplicaSet remembers of the size its Deployment had: proportional scaling needs it."""
    wanted = model.replicas(deployment)
    return {
        model.DESIRED_REPLICAS: str(wanted),
        model.MAX_REPLICAS: str(wanted + model.max_surge(deployment)),
    }


def _normal(template: Body) -> Body:
    """Return ``template`` without the hash label, nulls and empty metadata, which say nothing."""
    metadata = dict(template.get("metadata") or {})
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    kept = {name: value for name, value in {**metadata, "labels": labels}.items() if value}
    return {"metadata": _without_nulls(kept), "spec": _without_nulls(template.get("spec") or {})}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
