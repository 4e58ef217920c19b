"""Admission: LimitRanges give containers their default requests and limits, and bound them.

Source: Kubernetes' documented "Limit Ranges", and the wording of its LimitRanger plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.quotas import amounts, pod_amounts
from protocol.objects.keys import Body
from protocol.objects.qos import qos_class
from protocol.objects.quantities import parse_quantity, written
from protocol.objects.resources import CLAIMS, LIMIT_RANGES, PODS

_NOTE: Final = "kubernetes.io/limit-ranger"
_LISTS: Final = ("containers", "initContainers")
Amounts = dict[str, Decimal]


async def _limits(admission: Admission) -> list[Body]:
    listing = await admission.store.list(LIMIT_RANGES, namespace=admission.target.namespace)
    return [item for record in listing.records for item in (record.decode().get("spec") or {}).get("limits") or ()]


class LimitDefaults:
    """Fills in what new pods do not state."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods."""
        return operation is Operation.CREATE and resource == PODS and not subresource

    async def admit(self, admission: Admission) -> None:
        """Set the defaults, and note which were set."""
        pod, notes = admission.body, []
        for item in await _limits(admission):
            if item.get("type") == "Container":
                for container in _containers(pod):
                    notes += _fill(container, item)
        if notes:
            annotations = pod["metadata"].setdefault("annotations", {})
            annotations[_NOTE] = "LimitRanger plugin set: " + "; ".join(notes)
            pod.setdefault("status", {})["qosClass"] = qos_class(pod)


def _fill(container: Body, item: Body) -> list[str]:
    notes = []
    resources = container.setdefault("resources", {})
    for part, source, word in (("requests", "defaultRequest", "request"), ("limits", "default", "limit")):
        given = resources.get(part) or {}
        added = {name: amount for name, amount in (item.get(source) or {}).items() if name not in given}
        if added:
            resources[part] = {**given, **added}
            notes.append(f"{', '.join(sorted(added))} {word} for container {container['name']}")
    return notes


class LimitBounds:
    """Refuses pods and claims out of bounds."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods and claims, and in changes of what they ask for."""
        if operation is Operation.UPDATE:
            return (resource == PODS and subresource == "resize") or (resource == CLAIMS and not subresource)
        return operation is Operation.CREATE and resource in {PODS, CLAIMS} and not subresource

    async def admit(self, admission: Admission) -> None:
        """Check every bound.

        Raises:
            Forbidden: One is not kept.
        """
        wrong = [
            why
            for item in await _limits(admission)
            for requests, limits in _measured(admission, item.get("type", ""))
            for why in violations(item, requests, limits)
        ]
        if wrong:
            what = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
            raise failures.forbidden(admission.target.kind, admission.target.name, what)


def _measured(admission: Admission, kind: str) -> Iterator[tuple[Amounts, Amounts]]:
    """Yield the requests and limits of each thing of ``kind`` in the object."""
    body, resource = admission.body, admission.target.kind.resource
    if resource == CLAIMS:
        if kind == "PersistentVolumeClaim":
            requests = amounts(body.get("spec") or {}, "requests")
            yield requests, requests
    elif kind == "Pod":
        yield pod_amounts(body, "requests"), pod_amounts(body, "limits")
    elif kind == "Container":
        for container in _containers(body):
            yield amounts(container, "requests"), amounts(container, "limits")


def _containers(pod: Body) -> Iterator[Body]:
    for listed in _LISTS:
        yield from pod["spec"].get(listed) or ()


def violations(item: Body, requests: Amounts, limits: Amounts) -> Iterator[str]:
    """Yield how a thing breaks one item of a LimitRange.

    Args:
        item: The item: ``type``, ``min``, ``max``, ``maxLimitRequestRatio``.
        requests: What the thing requests.
        limits: What it is limited to.
    """
    kind = item.get("type", "")
    for name, bound in sorted((item.get("min") or {}).items()):
        yield from _below(f"minimum {name} usage per {kind} is {bound}", name, bound, requests, limits)
    for name, bound in sorted((item.get("max") or {}).items()):
        yield from _above(f"maximum {name} usage per {kind} is {bound}", name, bound, requests, limits)
    for name, bound in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        yield from _ratio(f"{name} max limit to request ratio per {kind} is {bound}", name, bound, requests, limits)


def _below(rule: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    least = parse_quantity(bound)
    if name not in requests:
        yield f"{rule}.  No request is specified"
    elif requests[name] < least:
        yield f"{rule}, but request is {_shown(name, requests[name])}"
    elif name in limits and limits[name] < least:
        yield f"{rule}, but limit is {_shown(name, limits[name])}"


def _above(rule: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    most = parse_quantity(bound)
    if name not in limits:
        yield f"{rule}.  No limit is specified"
    elif limits[name] > most:
        yield f"{rule}, but limit is {_shown(name, limits[name])}"
    elif name in requests and requests[name] > most:
        yield f"{rule}, but request is {_shown(name, requests[name])}"


def _ratio(rule: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    if not requests.get(name):
        yield f"{rule}, but no request is specified or request is 0"
    elif not limits.get(name):
        yield f"{rule}, but no limit is specified or limit is 0"
    elif limits[name] / requests[name] > parse_quantity(bound):
        yield f"{rule}, but provided ratio is {limits[name] / requests[name]:f}"


def _shown(name: str, amount: Decimal) -> str:
    return written(amount, binary=name in {"memory", "storage", "ephemeral-storage"})
