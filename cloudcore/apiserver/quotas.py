"""What objects take of the quotas of their namespace. Sans-IO.

Source: Kubernetes' documented "Resource Quotas": ``pkg/quota`` evaluators of pods, services, claims and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from protocol.objects.keys import Body
from protocol.objects.qos import qos_class
from protocol.objects.quantities import parse_quantity, written
from protocol.objects.resources import (
    CLAIMS,
    CONFIG_MAPS,
    PODS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
)

Usage = Mapping[str, Decimal]

_ONE: Final = Decimal(1)
_COUNTED: Final = frozenset({PODS, SERVICES, SECRETS, CONFIG_MAPS, CLAIMS, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS})
"""Counted under their plain names as well as under ``count/…``."""
_PLAIN: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
"""Requests that count under their plain names as well as under ``requests.…``."""
_CLASS: Final = ".storageclass.storage.k8s.io/"


def usage(resource: str, body: Body) -> Usage:
    """Return what an object takes, by the names that quotas use."""
    taken = {f"count/{resource}": _ONE}
    if resource == PODS and _has_ended(body):
        return taken
    if resource in _COUNTED:
        taken[resource] = _ONE
    if resource == PODS:
        taken |= _of_pod(body)
    elif resource == SERVICES:
        taken |= _of_service(body.get("spec") or {})
    elif resource == CLAIMS:
        taken |= _of_claim(body.get("spec") or {})
    return taken


def _has_ended(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _of_pod(pod: Body) -> dict[str, Decimal]:
    requests, limits = pod_amounts(pod, "requests"), pod_amounts(pod, "limits")
    taken = {f"requests.{name}": amount for name, amount in requests.items()}
    taken |= {name: amount for name, amount in requests.items() if name in _PLAIN or name.startswith("hugepages-")}
    return taken | {f"limits.{name}": amount for name, amount in limits.items()}


def pod_amounts(pod: Body, part: str) -> dict[str, Decimal]:
    """Return a pod's ``requests`` or ``limits``: the sum of its containers, at least any one init container's."""
    spec = pod.get("spec") or {}
    total: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        for name, amount in amounts(container, part).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in spec.get("initContainers") or ():
        for name, amount in amounts(container, part).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    for name, text in (spec.get("overhead") or {}).items() if part == "requests" else ():
        total[name] = total.get(name, Decimal(0)) + parse_quantity(text)
    return total


def amounts(container: Body, part: str) -> dict[str, Decimal]:
    """Return a container's ``requests`` or ``limits``."""
    stated = (container.get("resources") or {}).get(part) or {}
    return {name: parse_quantity(text) for name, text in stated.items()}


def _of_service(spec: Body) -> dict[str, Decimal]:
    ports = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
    taken = {"services.nodeports": Decimal(ports)} if ports else {}
    return taken | ({"services.loadbalancers": _ONE} if spec.get("type") == "LoadBalancer" else {})


def _of_claim(spec: Body) -> dict[str, Decimal]:
    storage = parse_quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0))
    taken = {"requests.storage": storage}
    if spec.get("storageClassName"):
        prefix = spec["storageClassName"] + _CLASS
        taken |= {f"{prefix}requests.storage": storage, f"{prefix}persistentvolumeclaims": _ONE}
    return taken


def covers(quota: Body, resource: str, body: Body) -> bool:
    """Tell whether an object is of a quota's scopes; scopes are about pods only."""
    spec = quota.get("spec") or {}
    wanted = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return not wanted or (resource == PODS and all(_is_of_scope(each, body) for each in wanted))


def _is_of_scope(wanted: Body, pod: Body) -> bool:
    spec = pod.get("spec") or {}
    match wanted.get("scopeName"):
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _is_of_class(wanted, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _looks_elsewhere(spec.get("affinity") or {})
    return False


def _is_of_class(wanted: Body, name: str) -> bool:
    values = wanted.get("values") or ()
    match wanted.get("operator"):
        case "In":
            return name in values
        case "NotIn":
            return name not in values
        case "DoesNotExist":
            return not name
    return bool(name)


def _looks_elsewhere(affinity: Body) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [each.get("podAffinityTerm") or {} for each in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def unstated(hard: Iterable[str], pod: Body) -> dict[str, list[str]]:
    """Return the compute resources that a quota bounds and containers do not state, with those containers' names."""
    spec, missing = pod.get("spec") or {}, {}
    for name in sorted(hard):
        part, plain = _compute(name)
        if not plain:
            continue
        listed = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        without = [each["name"] for each in listed if plain not in amounts(each, part)]
        if without:
            missing[name] = without
    return missing


def _compute(name: str) -> tuple[str, str]:
    """Return which part of a container a quota's name is about: ``("limits", "cpu")``; empty for other names."""
    if name in {"cpu", "memory"}:
        return "requests", name
    part, _, plain = name.partition(".")
    return (part, plain) if part in {"requests", "limits"} and plain in {"cpu", "memory"} else ("", "")


def shown(name: str, amount: Decimal) -> str:
    """Return an amount of what a quota bounds, as its status has it."""
    return written(amount, binary="memory" in name or "storage" in name)
