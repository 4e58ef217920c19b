"""The admission chain that a cloudcore runs with."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from cloudcore.apiserver.admission.addresses import ServiceAddresses
from cloudcore.apiserver.admission.chain import AdmissionChain
from cloudcore.apiserver.admission.disconnect import DisconnectPolicy
from cloudcore.apiserver.admission.namespaces import NamespaceLifecycle, ProtectedNamespaces
from cloudcore.apiserver.admission.nodes import NodeIdentity
from cloudcore.apiserver.admission.pods import PodBacklog, Priority, RuntimeClass, ServiceAccountDefault


def standard_chain(
    *,
    active_pods: Callable[[], int] = lambda: 0,
    pod_limit: int = 100_000,
    default_runtime_class: str = "",
    rng: Random | None = None,
) -> AdmissionChain:
    """Return the chain.

    Args:
        active_pods: How many pods wait in the scheduler's active queue.
        pod_limit: How many may, before new pods are turned away with 429.
        default_runtime_class: RuntimeClass of pods that name none; empty leaves that to each node.
        rng: Draws service addresses.
    """
    return AdmissionChain(
        (
            NamespaceLifecycle(),
            ServiceAccountDefault(),
            Priority(),
            RuntimeClass(default_runtime_class),
            DisconnectPolicy(),
            NodeIdentity(),
            ServiceAddresses(rng=rng),
            ProtectedNamespaces(),
            PodBacklog(active_pods, pod_limit),
        )
    )
