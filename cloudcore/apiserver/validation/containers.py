"""Rules of containers.

Source: Kubernetes ``validateContainers``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, not_found, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.quantities import check_resources
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_PULL_POLICIES: Final = frozenset({"Always", "IfNotPresent", "Never"})
_MESSAGE_POLICIES: Final = frozenset({"File", "FallbackToLogsOnError"})
PROTOCOLS: Final = frozenset({"TCP", "UDP", "SCTP"})
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS: Final = ("postStart", "preStop")
_HOOK_HANDLERS: Final = ("exec", "httpGet", "sleep")
_SIGNAL: Final = re.compile(r"SIG[A-Z]{3,6}[12]?|SIGRT(MIN|MAX)([+-]\d{1,2})?")
_PROBE_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_ENV_NAME: Final = re.compile(r"[!-<>-~ ]+")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_GRACE_S: Final = 30
_PORT_RANGE: Final = "must be between 1 and 65535, inclusive"


def check_containers(path: str, spec: Body, volumes: set[str]) -> list[Cause]:
    """Return what is wrong with a PodSpec's containers, whose mounts may name ``volumes``."""
    containers = spec.get("containers") or []
    causes = [] if containers else [required(f"{path}.containers")]
    seen: set[str] = set()
    stated = spec.get("terminationGracePeriodSeconds")
    grace_s = stated if isinstance(stated, int) else _GRACE_S
    for listed in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(listed) or ()):
            below, name = f"{path}.{listed}[{index}]", container.get("name", "")
            causes += _check_container(below, container, volumes, grace_s)
            if name in seen:
                causes.append(duplicate(f"{below}.name", name))
            seen.add(name)
            if listed == "initContainers" and container.get("restartPolicy") != "Always":
                causes += _check_plain_init(below, container)
    return causes


def _check_plain_init(path: str, container: Body) -> list[Cause]:
    """Return what an init container may not have that ends before the others start."""
    why = "may not be set for init containers without restartPolicy=Always"
    return [forbidden(f"{path}.{name}", why) for name in ("lifecycle", *_PROBES) if name in container]


def _check_container(path: str, container: Body, volumes: set[str], grace_s: float) -> list[Cause]:
    name, image = container.get("name", ""), container.get("image", "")
    causes = check_name("label", f"{path}.name", name) if name else [required(f"{path}.name")]
    if not image:
        causes.append(required(f"{path}.image"))
    elif image != image.strip():
        causes.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    causes += one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES)
    causes += one_of(f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _MESSAGE_POLICIES)
    if container.get("ports"):
        causes += _check_ports(f"{path}.ports", container["ports"])
    if container.get("env") or container.get("envFrom"):
        causes += _check_environment(path, container)
    if container.get("resources"):
        causes += check_resources(f"{path}.resources", container["resources"])
    if container.get("volumeMounts"):
        causes += _check_mounts(f"{path}.volumeMounts", container["volumeMounts"], volumes)
    for probe in _PROBES:
        if probe in container:
            causes += _check_probe(f"{path}.{probe}", container[probe], probe)
    return causes + _check_lifecycle(f"{path}.lifecycle", container.get("lifecycle") or {}, grace_s)


def _check_ports(path: str, ports: list[Body]) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        below, name = f"{path}[{index}]", port.get("name", "")
        for field in ("containerPort", "hostPort"):
            number = port.get(field)
            if number is not None and not 1 <= number <= 65535 and (field == "containerPort" or number):
                causes.append(invalid(f"{below}.{field}", number, _PORT_RANGE))
        causes += one_of(f"{below}.protocol", port.get("protocol"), PROTOCOLS)
        if not name:
            continue
        causes += check_port_name(f"{below}.name", name)
        if name in names:
            causes.append(duplicate(f"{below}.name", name))
        names.add(name)
    return causes


def check_port_name(path: str, name: str) -> list[Cause]:
    """Return what is wrong with a port's name (IANA_SVC_NAME)."""
    if len(name) <= 15 and _PORT_NAME.fullmatch(name):
        return []
    detail = (
        "must be at most 15 lower case alphanumeric characters or '-', contain a letter, and neither start nor end "
        "with '-' nor contain '--'"
    )
    return [invalid(path, name, detail)]


def check_target_port(path: str, port: Any) -> list[Cause]:
    """Return what is wrong with a port given by number or by name."""
    if isinstance(port, str):
        return check_port_name(path, port)
    return [] if isinstance(port, int) and 1 <= port <= 65535 else [invalid(path, port, _PORT_RANGE)]


def _check_environment(path: str, container: Body) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(container.get("env") or ()):
        below, name = f"{path}.env[{index}]", variable.get("name", "")
        if not name:
            causes.append(required(f"{below}.name"))
        elif not _ENV_NAME.fullmatch(name):
            detail = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            causes.append(invalid(f"{below}.name", name, detail))
        source = variable.get("valueFrom")
        if source is None:
            continue
        if len(source) != 1:
            causes.append(invalid(f"{below}.valueFrom", "", "must specify exactly one source"))
        elif variable.get("value"):
            causes.append(invalid(f"{below}.valueFrom", "", "may not be specified when `value` is not empty"))
    for index, source in enumerate(container.get("envFrom") or ()):
        if ("configMapRef" in source) == ("secretRef" in source):
            detail = "must specify exactly one of: `configMapRef` or `secretRef`"
            causes.append(invalid(f"{path}.envFrom[{index}]", "", detail))
    return causes


def _check_mounts(path: str, mounts: list[Body], volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        below, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            causes.append(required(f"{below}.name"))
        elif name not in volumes:
            causes.append(not_found(f"{below}.name", name))
        if not place:
            causes.append(required(f"{below}.mountPath"))
        elif place in places:
            causes.append(invalid(f"{below}.mountPath", place, "must be unique"))
        places.add(place)
        sub_path = mount.get("subPath", "")
        if sub_path.startswith("/") or ".." in sub_path.split("/"):
            causes.append(invalid(f"{below}.subPath", sub_path, "must be a relative path and not contain '..'"))
    return causes


def _check_probe(path: str, probe: Body, name: str) -> list[Cause]:
    handlers = [handler for handler in _HANDLERS if handler in probe]
    causes = []
    if not handlers:
        causes.append(required(path, "must specify a handler type"))
    causes += [forbidden(f"{path}.{extra}", "may not specify more than 1 handler type") for extra in handlers[1:]]
    for number in _PROBE_NUMBERS:
        if probe.get(number, 0) < 0:
            causes.append(invalid(f"{path}.{number}", probe[number], "must be greater than or equal to 0"))
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        causes.append(invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    for handler in ("httpGet", "tcpSocket"):
        if handler in probe:
            causes += check_target_port(f"{path}.{handler}.port", probe[handler].get("port"))
    return causes


def _check_lifecycle(path: str, lifecycle: Body, grace_s: float) -> list[Cause]:
    """Return what is wrong with a container's hooks and stop signal.

    Kubernetes takes a ``tcpSocket`` here, only for the hook to fail on every node and the container never to run;
    said at once, it can be mended.
    """
    causes: list[Cause] = []
    for hook in _HOOKS:
        if lifecycle.get(hook) is not None:
            causes += _check_hook(f"{path}.{hook}", lifecycle[hook], grace_s)
    signal = lifecycle.get("stopSignal")
    if signal and not _SIGNAL.fullmatch(signal):
        causes.append(invalid(f"{path}.stopSignal", signal, "must be the name of a signal, such as SIGUSR1"))
    return causes


def _check_hook(path: str, handler: Body, grace_s: float) -> list[Cause]:
    if "tcpSocket" in handler:
        return [forbidden(f"{path}.tcpSocket", "is not supported for lifecycle hooks")]
    handlers = [name for name in _HOOK_HANDLERS if name in handler]
    causes = [] if handlers else [required(path, "must specify a handler type")]
    causes += [forbidden(f"{path}.{extra}", "may not specify more than 1 handler type") for extra in handlers[1:]]
    if "exec" in handler and not (handler["exec"] or {}).get("command"):
        causes.append(required(f"{path}.exec.command"))
    if "httpGet" in handler:
        causes += check_target_port(f"{path}.httpGet.port", (handler["httpGet"] or {}).get("port"))
    seconds = ((handler.get("sleep") or {}).get("seconds") or 0) if "sleep" in handler else 0
    if not 0 <= seconds <= grace_s:
        detail = f"must not be negative, nor more than terminationGracePeriodSeconds ({grace_s})"
        causes.append(invalid(f"{path}.sleep.seconds", seconds, detail))
    return causes
