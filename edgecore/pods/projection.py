"""Which files a volume made of API objects holds: configMap, secret, downwardAPI, projected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from edgecore.pods.sources import ReferenceMissing, Sources, TokenRequest
from protocol.objects.keys import Body

DEFAULT_MODE: Final = 0o644
SECRET_MODE: Final = 0o400
"""Kubernetes says 0644, inside a mount nobody else sees; a folder of the host is seen by its other users."""
TOKEN_MODE: Final = 0o600
"""What the kubelet gives a token whose pod states no fsGroup."""
TOKEN_EXPIRATION_S: Final = 3600


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


def is_projected(volume: Body) -> bool:
    """Tell whether the volume is made of API objects."""
    return any(source in volume for source in ("configMap", "secret", "downwardAPI", "projected"))


def volume_files(volume: Body, pod: Body, sources: Sources) -> dict[str, File]:
    """Return the volume's files by relative path.

    Raises:
        ReferenceMissing: An object or key it needs is not here, or a path leaves the volume.
    """
    if "projected" not in volume:
        return _source_files(volume, pod, sources, _mode_of(volume))
    files: dict[str, File] = {}
    for source in volume["projected"].get("sources") or ():
        files.update(_source_files(source, pod, sources, volume["projected"].get("defaultMode")))
    return files


def _mode_of(volume: Body) -> int | None:
    source: Body = next((volume[kind] for kind in ("configMap", "secret", "downwardAPI") if kind in volume), {})
    mode: int | None = source.get("defaultMode")
    return mode


def _source_files(source: Body, pod: Body, sources: Sources, mode: int | None) -> dict[str, File]:
    if "configMap" in source:
        reference = source["configMap"]
        name = reference["name"]
        default = DEFAULT_MODE if mode is None else mode
        return _entries(reference, f'configmap "{name}"', sources.config_map(name), default)
    if "secret" in source:
        reference = source["secret"]
        name = reference.get("secretName") or reference["name"]
        default = SECRET_MODE if mode is None else mode
        return _entries(reference, f'secret "{name}"', sources.secret(name), default)
    if "downwardAPI" in source:
        return _downward(source["downwardAPI"], pod, sources, DEFAULT_MODE if mode is None else mode)
    if "serviceAccountToken" in source:
        return _token(source["serviceAccountToken"], sources, TOKEN_MODE if mode is None else mode)
    raise ReferenceMissing(f"unsupported volume source: {', '.join(source)}")


def _entries(reference: Body, what: str, found: Mapping[str, bytes] | None, mode: int) -> dict[str, File]:
    optional = bool(reference.get("optional"))
    if found is None:
        if optional:
            return {}
        raise ReferenceMissing(f"{what} not found")
    items = reference.get("items")
    if not items:
        return {_safe_path(key): File(content, mode) for key, content in found.items()}
    files = {}
    for item in items:
        if item["key"] in found:
            stated = item.get("mode")
            files[_safe_path(item["path"])] = File(found[item["key"]], mode if stated is None else stated)
        elif not optional:
            raise ReferenceMissing(f"references non-existent key: {item['key']} of {what}")
    return files


def _downward(reference: Body, pod: Body, sources: Sources, mode: int) -> dict[str, File]:
    files = {}
    for item in reference.get("items") or ():
        if "fieldRef" in item:
            text = sources.field(item["fieldRef"]["fieldPath"])
        else:
            wanted = item["resourceFieldRef"]
            text = sources.resource(wanted["containerName"], wanted["resource"], str(wanted.get("divisor") or "1"))
        stated = item.get("mode")
        files[_safe_path(item["path"])] = File(text.encode(), mode if stated is None else stated)
    return files


def _token(reference: Body, sources: Sources, mode: int) -> dict[str, File]:
    expiration_s = reference.get("expirationSeconds") or TOKEN_EXPIRATION_S
    content = sources.token(TokenRequest(reference.get("audience") or "", int(expiration_s)))
    return {} if content is None else {_safe_path(reference["path"]): File(content, mode)}


def _safe_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ReferenceMissing(f"path {path!r} leaves its volume")
    return str(PurePosixPath(path))
