"""What the fields of a static pod must look like where this agent reads them. Performs no I/O.

The API server checks far more. Here it is what would otherwise fail later and less clearly: types, names, and the few
values that everything hangs on. Fields that are not in the table pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity

Check = Callable[[Any], str]
"""Returns what a value should have been; empty where it is that."""
Shape = Check | Mapping[str, Any] | tuple[Any]
"""A check, the fields of an object, or (in a tuple) what each entry of a list is."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LARGEST: Final = (1 << 63) - 1


def text(value: Any) -> str:
    """Check for a string."""
    return "" if isinstance(value, str) else "text"


def flag(value: Any) -> str:
    """Check for a boolean."""
    return "" if isinstance(value, bool) else "true or false"


def whole(low: int = 0, high: int = _LARGEST) -> Check:
    """Return a check for an integer between ``low`` and ``high``."""
    expected = f"a whole number from {low} to {high}" if high < _LARGEST else f"a whole number, {low} or more"

    def check(value: Any) -> str:
        return "" if type(value) is int and low <= value <= high else expected

    return check


def one_of(*values: str) -> Check:
    """Return a check for one of ``values``."""
    return lambda value: "" if value in values else "one of " + ", ".join(values)


def amount(value: Any) -> str:
    """Check for a resource quantity that is not negative."""
    try:
        fits = not isinstance(value, bool) and parse_quantity(value) >= 0
    except (ValueError, TypeError):
        fits = False
    return "" if fits else 'an amount such as "100m" or "64Mi"'


def label(value: Any) -> str:
    """Check for a DNS label."""
    fits = isinstance(value, str) and _LABEL.fullmatch(value)
    return "" if fits else "small letters, digits and '-', 63 characters at most"


def subdomain(value: Any) -> str:
    """Check for a DNS subdomain."""
    fits = isinstance(value, str) and _SUBDOMAIN.fullmatch(value)
    return "" if fits else "small letters, digits, '-' and '.', 253 characters at most"


def port(value: Any) -> str:
    """Check for a port by number or by name."""
    return "" if (isinstance(value, str) and value) or not whole(1, 65535)(value) else "a port's number or name"


def mapping_of(check: Check) -> Check:
    """Return a check for an object whose values all pass ``check``."""

    def each(value: Any) -> str:
        if not isinstance(value, dict):
            return "an object"
        wrong = next((expected for one in value.values() if (expected := check(one))), "")
        return f"an object whose values are {wrong}" if wrong else ""

    return each


def anything(value: Any) -> str:
    """Check for an object of whatever fields."""
    return "" if isinstance(value, dict) else "an object"


_HTTP_GET: Final = {"port": port, "path": text, "host": text, "scheme": one_of("HTTP", "HTTPS")} | {
    "httpHeaders": ({"name": text, "value": text},)
}
_ACTION: Final = {
    "exec": {"command": (text,)},
    "httpGet": _HTTP_GET,
    "tcpSocket": {"port": port, "host": text},
    "grpc": {"port": whole(1, 65535), "service": text},
    "sleep": {"seconds": whole()},
}
_PROBE: Final = _ACTION | {
    "initialDelaySeconds": whole(),
    "periodSeconds": whole(),
    "timeoutSeconds": whole(),
    "successThreshold": whole(),
    "failureThreshold": whole(),
    "terminationGracePeriodSeconds": whole(),
}
_ID: Final = whole(0, (1 << 31) - 1)
_SECURITY: Final = {
    "runAsUser": _ID,
    "runAsGroup": _ID,
    "runAsNonRoot": flag,
    "privileged": flag,
    "readOnlyRootFilesystem": flag,
    "allowPrivilegeEscalation": flag,
    "capabilities": {"add": (text,), "drop": (text,)},
    "seccompProfile": {"type": text, "localhostProfile": text},
    "appArmorProfile": {"type": text, "localhostProfile": text},
    "seLinuxOptions": anything,
    "procMount": text,
}
_FIELD_REF: Final = {"fieldPath": text}
_RESOURCE_REF: Final = {"resource": text, "containerName": text, "divisor": amount}
_CONTAINER: Final = {
    "name": label,
    "image": text,
    "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
    "command": (text,),
    "args": (text,),
    "workingDir": text,
    "env": ({"name": text, "value": text, "valueFrom": {"fieldRef": _FIELD_REF, "resourceFieldRef": _RESOURCE_REF}},),
    "ports": (
        {
            "containerPort": whole(1, 65535),
            "hostPort": whole(0, 65535),
            "protocol": one_of("TCP", "UDP", "SCTP"),
            "hostIP": text,
            "name": text,
        },
    ),
    "resources": {"limits": mapping_of(amount), "requests": mapping_of(amount)},
    "volumeMounts": ({"name": text, "mountPath": text, "subPath": text, "subPathExpr": text, "readOnly": flag},),
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {"postStart": _ACTION, "preStop": _ACTION, "stopSignal": text},
    "restartPolicy": one_of("Always"),
    "securityContext": _SECURITY,
    "terminationMessagePath": text,
    "terminationMessagePolicy": one_of("File", "FallbackToLogsOnError"),
    "tty": flag,
    "stdin": flag,
}
_DOWNWARD: Final = {
    "defaultMode": whole(0, 0o777),
    "items": ({"path": text, "mode": whole(0, 0o777), "fieldRef": _FIELD_REF, "resourceFieldRef": _RESOURCE_REF},),
}
_VOLUME: Final = {
    "name": label,
    "emptyDir": {"medium": text, "sizeLimit": amount},
    "hostPath": {"path": text, "type": text},
    "downwardAPI": _DOWNWARD,
    "projected": {"defaultMode": whole(0, 0o777), "sources": ({"downwardAPI": _DOWNWARD},)},
}
POD: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "metadata": {
            "name": subdomain,
            "namespace": label,
            "labels": mapping_of(text),
            "annotations": mapping_of(text),
        },
        "spec": {
            "containers": (_CONTAINER,),
            "initContainers": (_CONTAINER,),
            "volumes": (_VOLUME,),
            "restartPolicy": one_of("Always", "OnFailure", "Never"),
            "terminationGracePeriodSeconds": whole(),
            "activeDeadlineSeconds": whole(1),
            "nodeName": subdomain,
            "runtimeClassName": subdomain,
            "priorityClassName": subdomain,
            "priority": whole(-_LARGEST),
            "hostNetwork": flag,
            "hostPID": flag,
            "hostIPC": flag,
            "shareProcessNamespace": flag,
            "enableServiceLinks": flag,
            "hostname": label,
            "subdomain": label,
            "dnsPolicy": one_of("Default", "ClusterFirst", "ClusterFirstWithHostNet", "None"),
            "dnsConfig": {"nameservers": (text,), "searches": (text,), "options": ({"name": text, "value": text},)},
            "hostAliases": ({"ip": text, "hostnames": (text,)},),
            "tolerations": (anything,),
            "overhead": mapping_of(amount),
            "securityContext": _SECURITY
            | {"fsGroup": _ID, "supplementalGroups": (_ID,), "sysctls": ({"name": text, "value": text},)},
        },
    }
)
"""The fields of a Pod that are looked at."""


def faults(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """Yield what is wrong with ``value``, a field each; a field that is absent is not."""
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            yield f"{path or 'the pod'}: must be an object"
            return
        for name, below in shape.items():
            if name in value:
                yield from faults(value[name], below, f"{path}.{name}" if path else name)
    elif isinstance(shape, tuple):
        if not isinstance(value, list):
            yield f"{path}: must be a list"
            return
        for index, entry in enumerate(value):
            yield from faults(entry, shape[0], f"{path}[{index}]")
    else:
        expected = shape(value)
        if expected:
            yield f"{path}: must be {expected}"


def without_nulls(value: Any) -> Any:
    """Return a copy of ``value`` in which no field is null: a field that is null is one that is absent."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def required(pod: Body) -> Iterator[str]:
    """Yield what a pod of good shape lacks, or says twice."""
    spec = pod.get("spec") or {}
    if not (pod.get("metadata") or {}).get("name"):
        yield "metadata.name: a static pod needs a name"
    containers = spec.get("containers") or []
    if not containers:
        yield "spec.containers: must have one at least"
    names = [str(one.get("name", "")) for one in [*(spec.get("initContainers") or []), *containers]]
    if not all(names):
        yield "spec.containers: each needs a name"
    yield from (f'spec.containers: there are several named "{name}"' for name in sorted(_repeated(names)))
    volumes = [str(one.get("name", "")) for one in spec.get("volumes") or []]
    yield from (f'spec.volumes: there are several named "{name}"' for name in sorted(_repeated(volumes)))
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or []):
            yield from _of_container(container, f"spec.{part}[{index}]", set(volumes))


def _of_container(container: Body, path: str, volumes: set[str]) -> Iterator[str]:
    for variable in container.get("env") or []:
        origin = variable.get("valueFrom") or {}
        if not variable.get("name"):
            yield f"{path}.env: each needs a name"
        if "fieldPath" not in origin.get("fieldRef", {"fieldPath": ""}):
            yield f"{path}.env: a fieldRef needs a fieldPath"
        if "resource" not in origin.get("resourceFieldRef", {"resource": ""}):
            yield f"{path}.env: a resourceFieldRef needs a resource"
    for listed in container.get("ports") or []:
        if "containerPort" not in listed:
            yield f"{path}.ports: each needs a containerPort"
    for mount in container.get("volumeMounts") or []:
        if not mount.get("mountPath"):
            yield f"{path}.volumeMounts: each needs a mountPath"
        if mount.get("name") not in volumes:
            yield f'{path}.volumeMounts: there is no volume "{mount.get("name", "")}"'


def _repeated(names: list[str]) -> set[str]:
    return {name for name in names if name and names.count(name) > 1}
