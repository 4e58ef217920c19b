"""What a pod asks for and this agent does not act on, so that it can be said instead of being dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from protocol.objects.keys import Body

_NOTHING: Final[tuple[Any, ...]] = (None, False, "", [], {})
"""Values that ask for nothing, where a table does not name others."""

_UNCONFINED: Final = (*_NOTHING, {"type": "Unconfined"})

_POD: Final[Mapping[str, tuple[Any, ...]]] = {
    "hostAliases": _NOTHING,
    "dnsPolicy": (None, "ClusterFirst", "ClusterFirstWithHostNet", "Default"),
    "dnsConfig": _NOTHING,
    "ephemeralContainers": _NOTHING,
    "readinessGates": _NOTHING,
    "resourceClaims": _NOTHING,
    "resources": _NOTHING,
    "securityContext.sysctls": _NOTHING,
    "securityContext.seLinuxOptions": _NOTHING,
    "securityContext.seccompProfile": _UNCONFINED,
    "securityContext.appArmorProfile": _NOTHING,
}
_CONTAINER: Final[Mapping[str, tuple[Any, ...]]] = {
    "resources.limits": _NOTHING,
    "resources.claims": _NOTHING,
    "securityContext.allowPrivilegeEscalation": (None, True),
    "securityContext.appArmorProfile": _NOTHING,
    "securityContext.capabilities": _NOTHING,
    "securityContext.privileged": _NOTHING,
    "securityContext.readOnlyRootFilesystem": _NOTHING,
    "securityContext.seLinuxOptions": _NOTHING,
    "securityContext.seccompProfile": _UNCONFINED,
    "stdin": _NOTHING,
    "tty": _NOTHING,
    "volumeDevices": _NOTHING,
}
_MOUNT: Final[Mapping[str, tuple[Any, ...]]] = {"recursiveReadOnly": (*_NOTHING, "Disabled", "IfPossible")}
_LONGEST: Final = 900


def unsupported(pod: Body, honoured: Set[str] = frozenset()) -> str:
    """Return one line that names the fields this agent does not act on; empty where there are none.

    Args:
        pod: The pod.
        honoured: What its runtime acts on beyond what every runtime does.

    What keeps a container from starting (an unknown volume source, say) is not among them: the start says so itself.
    """
    spec = pod["spec"]
    found = [
        *_stated(spec, _without(_POD, honoured), "spec"),
        *_in_each(spec, "initContainers", _without(_CONTAINER, honoured)),
        *_in_each(spec, "containers", _without(_CONTAINER, honoured)),
        *_mounts(spec),
    ]
    if not found:
        return ""
    names = ", ".join(found)
    names = names if len(names) <= _LONGEST else f"{names[:_LONGEST]}…"
    return f"this agent does not act on {names}"


def _without(table: Mapping[str, tuple[Any, ...]], honoured: Set[str]) -> Mapping[str, tuple[Any, ...]]:
    return {path: harmless for path, harmless in table.items() if path not in honoured}


def _in_each(spec: Body, part: str, table: Mapping[str, tuple[Any, ...]]) -> Iterator[str]:
    for one in spec.get(part) or ():
        yield from _stated(one, table, f"{part}[{one['name']}]")


def _mounts(spec: Body) -> Iterator[str]:
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            for mount in container.get("volumeMounts") or ():
                yield from _stated(mount, _MOUNT, f"{part}[{container['name']}].volumeMounts[{mount['name']}]")


def _stated(body: Body, table: Mapping[str, tuple[Any, ...]], where: str) -> Iterator[str]:
    return (f"{where}.{path}" for path, harmless in table.items() if _at(body, path) not in harmless)


def _at(body: Body, path: str) -> Any:
    value: Any = body
    for name in path.split("."):
        value = (value or {}).get(name)
    return value
