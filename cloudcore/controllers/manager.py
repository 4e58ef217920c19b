"""The controller manager: builds every controller and owns their tasks.

Contract: :meth:`ControllerManager.run` runs inside the caller's task and ends only by cancellation or when a
controller's own machinery fails, which takes all down: a cloud without one of them must be seen to have failed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from cloudcore.apiserver.kinds import KindTable
from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.controllers.accountrules import AccountRulesController
from cloudcore.controllers.accounttokens import AccountTokenController
from cloudcore.controllers.certificates import CertificateCleanupController, CertificateSigningController
from cloudcore.controllers.clusterroles import ClusterRoleAggregationController
from cloudcore.controllers.definitions import DefinitionController
from cloudcore.controllers.deployment import DeploymentController
from cloudcore.controllers.devicecalls import DeviceCallController
from cloudcore.controllers.devices import DeviceController
from cloudcore.controllers.disruption import DisruptionController
from cloudcore.controllers.eventttl import TTL_S, EventExpiryController
from cloudcore.controllers.garbage import GarbageCollector
from cloudcore.controllers.namespace import NamespaceController
from cloudcore.controllers.nodes import NodeLifecycleController, TaintEvictionController
from cloudcore.controllers.nodes.lifecycle import GRACE_S
from cloudcore.controllers.podgc import OrphanedPodController, TerminatedPodController
from cloudcore.controllers.replicaset import ReplicaSetController
from cloudcore.controllers.resourcequota import QuotaController
from cloudcore.controllers.rootca import RootCertificateController
from cloudcore.controllers.runtime import Context, Controller, Reconciler, Recorders
from cloudcore.controllers.serviceaccount import ServiceAccountController
from cloudcore.controllers.volumes import (
    ClaimController,
    ClaimProtectionController,
    EphemeralVolumeController,
    VolumeController,
    VolumeProtectionController,
)
from cloudcore.informers import Informers, ReadYourWrites
from cloudcore.security.accounttokens import TokenIssuer
from cloudcore.security.ca import CertificateAuthority
from protocol.objects.keys import ObjectKey


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What can be set about controllers.

    Attributes:
        node_grace_s: How long a node's lease may go without renewal before the node is Unknown, seconds.
        event_ttl_s: How long an Event stays after it was last seen, seconds.
        terminated_pods: Finished pods that may stay.
        authority: Signs what is approved, and is published in each namespace; None: neither happens.
        tokens: Issues the tokens that Secrets hold; None: none does.
    """

    node_grace_s: float = GRACE_S
    event_ttl_s: float = TTL_S
    terminated_pods: int = 12_500
    authority: CertificateAuthority | None = None
    tokens: TokenIssuer | None = None


class ControllerManager:
    """All controllers of the cloud.

    Informers and recorder are the caller's to run; controllers wait for the informers by themselves.

    Args:
        client: Writes.
        informers: Reads.
        recorder: Tells people (:class:`cloudcore.events.EventRecorder`).
        clock: Time.
        kinds: The table of kinds.
        settings: What can be set.
        rng: Spreads retries.
    """

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorder: Recorders,
        clock: Clock,
        kinds: KindTable,
        *,
        settings: ControllerSettings | None = None,
        rng: Random | None = None,
    ) -> None:
        settings = settings or ControllerSettings()
        rng = rng or Random()
        context = Context(ReadYourWrites(client, informers), informers, recorder, clock, rng)
        garbage = GarbageCollector(context, kinds)
        logics: list[Reconciler[ObjectKey]] = [
            DeploymentController(context),
            ReplicaSetController(context),
            NodeLifecycleController(context, settings.node_grace_s),
            TaintEvictionController(context),
            NamespaceController(context, kinds),
            ServiceAccountController(context),
            garbage,
            DefinitionController(context, kinds),
            OrphanedPodController(context),
            TerminatedPodController(context, settings.terminated_pods),
            EventExpiryController(context, settings.event_ttl_s),
            DisruptionController(context),
            QuotaController(context, kinds),
            ClusterRoleAggregationController(context),
            CertificateCleanupController(context),
            AccountRulesController(context),
            ClaimController(context),
            VolumeController(context),
            ClaimProtectionController(context),
            VolumeProtectionController(context),
            EphemeralVolumeController(context),
            DeviceController(context),
            DeviceCallController(context),
        ]
        logics += _identity(context, settings)
        self.controllers = {logic.name: Controller(logic, informers, rng) for logic in logics}
        garbage.follow = self.controllers[garbage.name].follow

    async def run(self) -> None:
        """Run all controllers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, controller in self.controllers.items():
                group.create_task(controller.run(), name=f"controller {name}")


def _identity(context: Context, settings: ControllerSettings) -> list[Reconciler[ObjectKey]]:
    """Return the controllers that need the cluster's authority or sign tokens."""
    authority, tokens = settings.authority, settings.tokens
    if authority is None:
        return []
    pem = authority.certificate_pem.decode("ascii")
    logics: list[Reconciler[ObjectKey]] = [
        RootCertificateController(context, pem),
        CertificateSigningController(context, authority),
    ]
    return logics if tokens is None else [*logics, AccountTokenController(context, tokens, pem)]
