"""Which objects a pod names: what must be on a node for the pod to run there.

References are gathered from the pod's spec alone; whether the objects exist is for the reader to find out. Field
names are those of Kubernetes' core/v1 PodSpec.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import (
    ACCOUNT_RULES,
    CLAIMS,
    CONFIG_MAPS,
    PRIORITY_CLASSES,
    RUNTIME_CLASSES,
    SECRETS,
    SERVICE_ACCOUNTS,
)

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
# Volume sources of older drivers that name a Secret in the pod's namespace.
_SECRET_REF_SOURCES = ("csi", "cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")


def pod_references(pod: Body) -> frozenset[ObjectKey]:
    """Return the keys of everything that ``pod`` names.

    Args:
        pod: A core/v1 Pod. Malformed parts are passed over: a reference that cannot be read names nothing.

    Returns:
        Keys of ConfigMaps, Secrets, PersistentVolumeClaims, the ServiceAccount and its rules, the RuntimeClass
        and the PriorityClass; optional references included.
    """
    spec = _mapping(pod.get("spec"))
    namespace = pod["metadata"].get("namespace", "")
    names = chain(_volume_names(spec, pod["metadata"].get("name", "")), _container_names(spec), _spec_names(spec))
    return frozenset(
        ObjectKey(resource, "" if resource in (RUNTIME_CLASSES, PRIORITY_CLASSES) else namespace, name)
        for resource, name in names
        if isinstance(name, str) and name
    )


def _spec_names(spec: Body) -> Iterator[tuple[str, Any]]:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    yield SERVICE_ACCOUNTS, account
    yield ACCOUNT_RULES, account
    yield RUNTIME_CLASSES, spec.get("runtimeClassName")
    yield PRIORITY_CLASSES, spec.get("priorityClassName")
    for secret in _mappings(spec.get("imagePullSecrets")):
        yield SECRETS, secret.get("name")


def _container_names(spec: Body) -> Iterator[tuple[str, Any]]:
    for field in _CONTAINER_LISTS:
        for container in _mappings(spec.get(field)):
            for source in _mappings(container.get("envFrom")):
                yield CONFIG_MAPS, _mapping(source.get("configMapRef")).get("name")
                yield SECRETS, _mapping(source.get("secretRef")).get("name")
            for variable in _mappings(container.get("env")):
                origin = _mapping(variable.get("valueFrom"))
                yield CONFIG_MAPS, _mapping(origin.get("configMapKeyRef")).get("name")
                yield SECRETS, _mapping(origin.get("secretKeyRef")).get("name")


def _volume_names(spec: Body, pod_name: str) -> Iterator[tuple[str, Any]]:
    for volume in _mappings(spec.get("volumes")):
        yield CONFIG_MAPS, _mapping(volume.get("configMap")).get("name")
        yield SECRETS, _mapping(volume.get("secret")).get("secretName")
        yield SECRETS, _mapping(volume.get("azureFile")).get("secretName")
        yield CLAIMS, _mapping(volume.get("persistentVolumeClaim")).get("claimName")
        if "ephemeral" in volume:
            # A generic ephemeral volume's claim is named after the pod and the volume.
            yield CLAIMS, f"{pod_name}-{volume.get('name', '')}"
        for source in _mappings(_mapping(volume.get("projected")).get("sources")):
            yield CONFIG_MAPS, _mapping(source.get("configMap")).get("name")
            yield SECRETS, _mapping(source.get("secret")).get("name")
        for driver in _SECRET_REF_SOURCES:
            source = _mapping(volume.get(driver))
            yield SECRETS, _mapping(source.get("secretRef")).get("name")
            yield SECRETS, _mapping(source.get("nodePublishSecretRef")).get("name")


def _mapping(value: object) -> Body:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Body]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
