"""Admission: the disconnect policy of a pod, compiled into tolerations.

``edge.aiokubeedge.io/on-disconnect`` says what becomes of a pod whose node cannot be reached: ``keep`` (the default)
leaves it bound for ever, ``replace`` evicts it after ``edge.aiokubeedge.io/lost-after``, ``reconcile`` evicts it in
the same way and leaves it to its controller to settle which copy stays when the node returns. A toleration that the
pod states itself stands.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.validation.fields import invalid, not_supported
from protocol.objects.durations import parse_duration
from protocol.objects.keys import Body
from protocol.objects.resources import PODS
from protocol.objects.wellknown import LOST_AFTER, NOT_READY, ON_DISCONNECT, UNREACHABLE

DEFAULT_LOST_AFTER_S: Final = 300

_POLICIES: Final = ("keep", "reconcile", "replace")
_TAINTS: Final = (NOT_READY, UNREACHABLE)


class DisconnectPolicy:
    """Compiles the annotation of each new pod."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods."""
        return operation is Operation.CREATE and resource == PODS and not subresource

    async def admit(self, admission: Admission) -> None:
        """Add the tolerations the policy stands for.

        Raises:
            Invalid: The policy or the time is not one.
        """
        body, target = admission.body, admission.target
        annotations = body["metadata"].get("annotations") or {}
        policy = annotations.get(ON_DISCONNECT, "keep")
        path = f"metadata.annotations[{ON_DISCONNECT}]"
        if policy not in _POLICIES:
            raise failures.invalid(target.kind, target.name, [not_supported(path, policy, _POLICIES)])
        lost_after_s: int | None = None
        if policy != "keep":
            text = annotations.get(LOST_AFTER, str(DEFAULT_LOST_AFTER_S))
            try:
                lost_after_s = parse_duration(text)
            except ValueError:
                wrong = invalid(f"metadata.annotations[{LOST_AFTER}]", text, 'must be a duration such as "90s" or "5m"')
                raise failures.invalid(target.kind, target.name, [wrong]) from None
        _add_tolerations(body["spec"], lost_after_s)


def _add_tolerations(spec: Body, lost_after_s: int | None) -> None:
    present: list[Body] = spec.get("tolerations") or []
    added: list[Body] = []
    for taint in _TAINTS:
        if any(_covers(toleration, taint) for toleration in present):
            continue
        toleration: dict[str, Any] = {"key": taint, "operator": "Exists", "effect": "NoExecute"}
        if lost_after_s is not None:
            toleration["tolerationSeconds"] = lost_after_s
        added.append(toleration)
    if added:
        spec["tolerations"] = [*present, *added]


def _covers(toleration: Body, taint: str) -> bool:
    """Tell whether the pod itself says what to do about ``taint``."""
    key, effect = toleration.get("key") or "", toleration.get("effect") or ""
    return key in {"", taint} and effect in {"", "NoExecute"}
