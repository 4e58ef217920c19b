"""Volumes and claims: binding one to the other, giving volumes back, protecting what is in use.

Which volume suits a claim is in :mod:`protocol.objects.volumematching`; :mod:`.claims` and :mod:`.reclaiming` decide
on one claim and one volume, :mod:`.controller` reads, asks them and writes; :mod:`.protection` keeps what is in use,
:mod:`.ephemeral` makes the claims of volumes that live with their pod.
"""

from cloudcore.controllers.volumes.controller import ClaimController, VolumeController
from cloudcore.controllers.volumes.ephemeral import EphemeralVolumeController
from cloudcore.controllers.volumes.protection import ClaimProtectionController, VolumeProtectionController

__all__ = [
    "ClaimController",
    "ClaimProtectionController",
    "EphemeralVolumeController",
    "VolumeController",
    "VolumeProtectionController",
]
