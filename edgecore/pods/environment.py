"""A container's environment, command and user, from its spec. Pure. Rules: Kubernetes' core/v1 EnvVar, Container."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.sources import ADDRESS_FIELDS, ReferenceMissing, Sources, entry
from protocol.objects.keys import Body

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


@dataclass(frozen=True, slots=True)
class User:
    """Whom a container runs as; None leaves it to the runtime."""

    user: int | None
    group: int | None
    groups: tuple[int, ...]


def environment(pod: Body, container: Body, sources: Sources, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the container's variables: those given, then ``envFrom``, then ``env``, later ones winning.

    Args:
        pod: The pod.
        container: Its spec.
        sources: Where values come from.
        given: What each container of this node has.

    Raises:
        ReferenceMissing: A ConfigMap, Secret or key it needs is not here.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    found = {"HOSTNAME": str(spec.get("hostname") or metadata["name"]), **(given or {})}
    for source in container.get("envFrom") or ():
        found.update(_bulk(source, sources))
    for variable in container.get("env") or ():
        value = _value(variable, container["name"], sources, found)
        if value is not None:
            found[variable["name"]] = value
    return found


def _bulk(source: Body, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, kind, read in (
        ("configMapRef", "configmap", sources.config_map),
        ("secretRef", "secret", sources.secret),
    ):
        reference = source.get(field)
        if reference is None:
            continue
        entries = read(reference["name"])
        if entries is None and not reference.get("optional"):
            raise ReferenceMissing(f'{kind} "{reference["name"]}" not found')
        named = {f"{prefix}{key}": _text(value) for key, value in (entries or {}).items()}
        return {name: value for name, value in named.items() if name and "=" not in name and "\0" not in value}
    return {}


def _value(variable: Body, container: str, sources: Sources, before: Mapping[str, str]) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value") or "", before)
    if "fieldRef" in origin:
        return sources.field(origin["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in origin:
        reference = origin["resourceFieldRef"]
        wanted = reference.get("containerName") or container
        return sources.resource(wanted, reference["resource"], str(reference.get("divisor") or "1"))
    for field, kind, read in (
        ("configMapKeyRef", "configmap", sources.config_map),
        ("secretKeyRef", "secret", sources.secret),
    ):
        if field in origin:
            reference = origin[field]
            name, key = reference["name"], reference["key"]
            value = entry(read(name), kind, name, key, optional=bool(reference.get("optional")))
            return None if value is None else _text(value)
    raise ReferenceMissing(f"variable {variable['name']} takes its value from an unsupported source")


def names_address(container: Body) -> bool:
    """Tell whether a variable of the container takes the pod's own IP address."""
    origins = (variable.get("valueFrom") or {} for variable in container.get("env") or ())
    return any((origin.get("fieldRef") or {}).get("fieldPath") in ADDRESS_FIELDS for origin in origins)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by the variable's value; ``$$`` is a literal ``$``; an unknown name stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)


def command(container: Body, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``command`` followed by ``args``, expanded; empty when the container states no command."""
    words = container.get("command") or ()
    return tuple(expand(word, variables) for word in [*words, *(container.get("args") or ())]) if words else ()


def arguments(container: Body, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``args``, expanded, of a container that leaves the command to its image; empty for another."""
    words = () if container.get("command") else container.get("args") or ()
    return tuple(expand(word, variables) for word in words)


def user(pod: Body, container: Body) -> User:
    """Return whom the container runs as; its own security context wins over the pod's.

    Raises:
        StartRefused: It must not run as root, and would.
    """
    shared = pod["spec"].get("securityContext") or {}
    context = {**shared, **(container.get("securityContext") or {})}
    # Where no user is stated, the runtime knows the image's.
    if context.get("runAsNonRoot") and context.get("runAsUser") == 0:
        message = "container has runAsNonRoot and runAsUser 0"
        raise StartRefused("CreateContainerConfigError", message)
    groups = [*(shared.get("supplementalGroups") or ())]
    groups += [shared["fsGroup"]] if shared.get("fsGroup") is not None else []
    return User(context.get("runAsUser"), context.get("runAsGroup"), tuple(groups))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
