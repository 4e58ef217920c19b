"""The admission chain that a cloudcore runs with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cloudcore.apiserver.admission.accounts import ServiceAccounts
from cloudcore.apiserver.admission.addresses import ServiceAddresses
from cloudcore.apiserver.admission.certificates import (
    CertificateRights,
    CertificateSubject,
    ConditionTimes,
    Requester,
)
from cloudcore.apiserver.admission.chain import AdmissionChain, Plugin
from cloudcore.apiserver.admission.devices import DeviceValues
from cloudcore.apiserver.admission.disconnect import DisconnectPolicy
from cloudcore.apiserver.admission.limits import LimitBounds, LimitDefaults
from cloudcore.apiserver.admission.mirrors import MirrorPods
from cloudcore.apiserver.admission.namespaces import NamespaceLifecycle, ProtectedNamespaces
from cloudcore.apiserver.admission.nodeports import NodePorts
from cloudcore.apiserver.admission.nodes import NodeIdentity, NodeLease
from cloudcore.apiserver.admission.pods import PodBacklog, Priority, RuntimeClass
from cloudcore.apiserver.admission.quotas import ResourceQuotas
from cloudcore.apiserver.admission.roles import RoleEscalation
from cloudcore.apiserver.admission.volumes import DefaultStorageClass, VolumeProtection
from cloudcore.apiserver.rbac.rights import Rights


@dataclass(slots=True)
class Limits:
    """Bounds that can be changed while the cloud runs.

    Attributes:
        max_pending_pods: How many pods may wait in the scheduler's active queue before new ones get 429.
    """

    max_pending_pods: int = 100_000


def admission_chain(
    limits: Limits | None = None,
    active_pods: Callable[[], int] = lambda: 0,
    *,
    default_runtime_class: str = "",
    rng: Random | None = None,
    rights: Rights | None = None,
) -> AdmissionChain:
    """Return the chain.

    Args:
        limits: Bounds; read at each write.
        active_pods: How many pods wait in the scheduler's active queue.
        default_runtime_class: RuntimeClass of pods that name none; empty leaves that to each node.
        rng: Draws service addresses and node ports.
        rights: The rights of whoever writes; without them nobody is held to what they may give, approve and sign.
    """
    bounds = limits or Limits()
    held: tuple[Plugin, ...] = (RoleEscalation(rights), CertificateRights(rights)) if rights is not None else ()
    return AdmissionChain(
        (
            NamespaceLifecycle(),
            Priority(),
            RuntimeClass(default_runtime_class),
            LimitDefaults(),
            ServiceAccounts(rng),
            DisconnectPolicy(),
            NodeIdentity(rights),
            NodeLease(),
            Requester(),
            CertificateSubject(),
            ConditionTimes(),
            ServiceAddresses(rng=rng),
            NodePorts(rng),
            DefaultStorageClass(),
            VolumeProtection(),
            ProtectedNamespaces(),
            *held,
            DeviceValues(),
            MirrorPods(),
            LimitBounds(),
            PodBacklog(active_pods, lambda: bounds.max_pending_pods),
            ResourceQuotas(),
        )
    )
