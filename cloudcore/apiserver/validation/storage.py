"""Rules of PersistentVolumes, PersistentVolumeClaims and StorageClasses.

Source: Kubernetes ``ValidatePersistentVolume``, ``ValidatePersistentVolumeClaim``, ``ValidateStorageClass``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, not_supported, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.quantities import check_amounts
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity

_MODES: Final = frozenset({"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"})
_RECLAIM: Final = frozenset({"Delete", "Recycle", "Retain"})
_VOLUME_MODES: Final = frozenset({"Block", "Filesystem"})
_BINDING_MODES: Final = frozenset({"Immediate", "WaitForFirstConsumer"})
_IMMUTABLE: Final = "field is immutable"
_NOT_SOURCES: Final = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def check_volume(body: Body) -> list[Cause]:
    """Return what is wrong with a PersistentVolume."""
    spec = body.get("spec") or {}
    causes = _check_modes("spec.accessModes", spec.get("accessModes") or [])
    capacity = spec.get("capacity") or {}
    if not capacity:
        causes.append(required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        causes.append(not_supported("spec.capacity", sorted(capacity), ("storage",)))
    causes += check_amounts("spec.capacity", capacity)
    causes += one_of("spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"), _RECLAIM)
    causes += one_of("spec.volumeMode", spec.get("volumeMode"), _VOLUME_MODES)
    sources = sorted(spec.keys() - _NOT_SOURCES)
    if not sources:
        causes.append(required("spec", "must specify a volume type"))
    causes += [forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    if spec.get("storageClassName"):
        causes += check_name("subdomain", "spec.storageClassName", spec["storageClassName"])
    if "local" in sources and not spec.get("nodeAffinity"):
        causes.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    return causes


def check_volume_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed PersistentVolume: what it is made of is fixed."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    causes = []
    if _source(spec) != _source(before):
        causes.append(
            forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
        )
    if spec.get("volumeMode") != before.get("volumeMode"):
        causes.append(invalid("spec.volumeMode", spec.get("volumeMode"), _IMMUTABLE))
    if before.get("nodeAffinity") and spec.get("nodeAffinity") != before["nodeAffinity"]:
        causes.append(invalid("spec.nodeAffinity", spec.get("nodeAffinity"), _IMMUTABLE))
    return causes


def _source(spec: Body) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in _NOT_SOURCES}


def check_claim(body: Body, path: str = "spec") -> list[Cause]:
    """Return what is wrong with a PersistentVolumeClaim, or a template of one whose spec is at ``path``."""
    spec = body.get("spec") or {}
    causes = _check_modes(f"{path}.accessModes", spec.get("accessModes") or [])
    if spec.get("selector"):
        causes += check_label_selector(f"{path}.selector", spec["selector"])
    below = f"{path}.resources.requests"
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        causes.append(required(f"{below}[storage]"))
    wrong = check_amounts(below, requests)
    if not wrong and "storage" in requests and parse_quantity(requests["storage"]) <= 0:
        wrong = [invalid(f"{below}[storage]", requests["storage"], "must be greater than zero")]
    causes += wrong + one_of(f"{path}.volumeMode", spec.get("volumeMode"), _VOLUME_MODES)
    for name in ("storageClassName", "volumeName"):
        if spec.get(name):
            causes += check_name("subdomain", f"{path}.{name}", spec[name])
    return causes


def check_claim_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed PersistentVolumeClaim: once bound it can only grow."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    open_to_change = {"resources", "volumeAttributesClassName"}
    # Binding sets the volume, and a class where none was named.
    open_to_change |= {name for name in ("volumeName", "storageClassName") if not before.get(name)}
    names = (spec.keys() | before.keys()) - open_to_change
    if all(spec.get(name) == before.get(name) for name in names):
        return _check_growth(spec, before)
    why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [forbidden("spec", why)]


def _check_growth(spec: Body, before: Body) -> list[Cause]:
    asked, had = (((each.get("resources") or {}).get("requests") or {}).get("storage") for each in (spec, before))
    if asked is None or had is None or check_amounts("", {"storage": asked}):
        return []
    if parse_quantity(asked) < parse_quantity(had):
        why = "field can not be less than status.capacity"
        return [forbidden("spec.resources.requests.storage", why)]
    return []


def _check_modes(path: str, modes: list[str]) -> list[Cause]:
    if not modes:
        return [required(path, "at least 1 access mode is required")]
    causes = [cause for mode in modes for cause in one_of(path, mode, _MODES)]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        causes.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return causes


def check_storage_class(body: Body) -> list[Cause]:
    """Return what is wrong with a StorageClass."""
    causes = [] if body.get("provisioner") else [required("provisioner")]
    causes += one_of("reclaimPolicy", body.get("reclaimPolicy"), _RECLAIM - {"Recycle"})
    return causes + one_of("volumeBindingMode", body.get("volumeBindingMode"), _BINDING_MODES)


def check_storage_class_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed StorageClass: what volumes were made with stays."""
    why = "updates to {} are forbidden."
    return [
        forbidden(name, why.format(name))
        for name in ("parameters", "provisioner", "reclaimPolicy")
        if body.get(name) != old.get(name)
    ] + (
        [invalid("volumeBindingMode", body.get("volumeBindingMode"), _IMMUTABLE)]
        if body.get("volumeBindingMode") != old.get("volumeBindingMode")
        else []
    )
