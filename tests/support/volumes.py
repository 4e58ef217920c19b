"""Claims, volumes and storage classes for tests."""

from __future__ import annotations

from typing import Any

from protocol.objects.keys import Body

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"


def claim(name: str = "data", *, size: str = "1Gi", annotations: dict[str, str] | None = None, **spec: Any) -> Body:
    """Return a claim of no storage class; ``spec`` adds to or replaces fields of its spec."""
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": ""}
    metadata = {"name": name, "namespace": "default"}
    if annotations:
        metadata |= {"annotations": annotations}  # type: ignore[dict-item]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {name: value for name, value in {**body, **spec}.items() if value is not None},
    }


def volume(name: str = "pv-1", *, size: str = "1Gi", node: str = "", path: str = "/data", **spec: Any) -> Body:
    """Return a volume of no storage class: a folder of any node, or of ``node`` alone."""
    body: Body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    if node:
        term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
        body |= {"local": {"path": path}, "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}
    else:
        body["hostPath"] = {"path": path}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {name: value for name, value in {**body, **spec}.items() if value is not None},
    }


def storage_class(name: str, *, default: bool = False, **fields: Any) -> Body:
    """Return a storage class that provisions nothing; ``fields`` add to it or replace what it says."""
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": notes},
        "provisioner": "kubernetes.io/no-provisioner",
        **fields,
    }
