"""Rules of a change to a pod: almost nothing of its spec may change.

Source: Kubernetes ``ValidatePodUpdate``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.validation.fields import forbidden, invalid
from cloudcore.apiserver.validation.placement import check_placement_kept
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_MUTABLE: Final = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates")
_LISTS: Final = ("containers", "initContainers")
_FROZEN: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed Pod."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    causes = check_placement_kept(body.get("metadata") or {}, old.get("metadata") or {})
    if spec == before:
        return causes
    causes += _check_containers_kept(spec, before)
    causes += _check_deadline(spec, before)
    causes += _check_tolerations(spec, before)
    if not causes and _frozen(spec) != _frozen(before):
        causes.append(forbidden("spec", _FROZEN))
    return causes


def _frozen(spec: Body) -> Body:
    kept = {name: value for name, value in spec.items() if name not in (*_MUTABLE, *_LISTS)}
    for listed in _LISTS:
        kept[listed] = [
            {name: value for name, value in container.items() if name != "image"}
            for container in spec.get(listed) or ()
        ]
    return kept


def _check_containers_kept(spec: Body, before: Body) -> list[Cause]:
    return [
        forbidden(f"spec.{listed}", f"pod updates may not add or remove {listed}")
        for listed in _LISTS
        if len(spec.get(listed) or ()) != len(before.get(listed) or ())
    ]


def _check_deadline(spec: Body, before: Body) -> list[Cause]:
    path = "spec.activeDeadlineSeconds"
    new_s, old_s = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if old_s is None or new_s == old_s:
        return []
    if new_s is None:
        return [invalid(path, new_s, "must not update from a positive integer to nil value")]
    return [invalid(path, new_s, "must be less than or equal to previous value")] if new_s > old_s else []


def _check_tolerations(spec: Body, before: Body) -> list[Cause]:
    """Tolerations may be added, and the time of one that is there may change."""
    present = [_timeless(toleration) for toleration in spec.get("tolerations") or ()]
    if all(_timeless(toleration) in present for toleration in before.get("tolerations") or ()):
        return []
    return [forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _timeless(toleration: Body) -> Body:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}
