"""Rules of what pods and pod templates say, beside their spec, about the room that they take on their node."""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.validation.fields import forbidden, one_of
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.sla import TIERS
from protocol.objects.wellknown import ON_FULL, SLA

_TIERS: Final = frozenset(TIERS)
_POLICIES: Final = frozenset({"fail", "queue", "preempt"})


def check_placement(path: str, metadata: Body) -> list[Cause]:
    """Return what is wrong with the SLA label and the policy for full nodes, in the metadata at ``path``."""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    causes = one_of(f"{path}.labels[{SLA}]", labels[SLA], _TIERS) if SLA in labels else []
    if ON_FULL in annotations:
        causes += one_of(f"{path}.annotations[{ON_FULL}]", annotations[ON_FULL], _POLICIES)
    return causes


def check_placement_kept(metadata: Body, before: Body) -> list[Cause]:
    """Return what is wrong with a change: what a pod is charged for is settled when it is created."""
    labels, former = metadata.get("labels") or {}, before.get("labels") or {}
    if labels.get(SLA) == former.get(SLA):
        return []
    return [forbidden(f"metadata.labels[{SLA}]", "the SLA tier of a pod may not be changed")]
