"""Protection of what is in use: a claim that a pod uses, and a volume that is bound, go only when that has ended.

Admission gives each a finalizer when it is created (:mod:`cloudcore.apiserver.admission.volumes`); here it is taken
off again. Source: Kubernetes "Storage Object in Use Protection".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.client import Client
from cloudcore.controllers.pods import is_deleting, is_terminated
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import NotFound
from cloudcore.informers.indexes import BY_CLAIM, claims_of_pod
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS, PERSISTENT_VOLUMES, PODS
from protocol.objects.storageclasses import CLAIM_PROTECTION, VOLUME_PROTECTION


def claims_of(pod: Body) -> list[ObjectKey]:
    """Return the claims that a pod names."""
    return [key for key in pod_references(pod) if key.resource == CLAIMS]


def uses(pod: Body) -> bool:
    """Tell whether a pod keeps its claims in use: one that has a node and has not come to its end."""
    return bool(pod["spec"].get("nodeName")) and not is_terminated(pod)


class ClaimProtectionController:
    """Lets go of claims that are being deleted and that no pod uses; keys are theirs."""

    name = "pvc-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._claims = context.informers.for_resource(CLAIMS)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(BY_CLAIM, claims_of_pod)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow claims, and pods as they end."""
        return (Watching(CLAIMS, own_keys(CLAIMS)), Watching(PODS, _keys_of_pod))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Let go of the claim once nothing uses it."""
        claim = self._claims.get(key)
        if claim is None or not is_deleting(claim):
            return DONE
        pods = self._pods.list(index=BY_CLAIM, value=f"{key.namespace}/{key.name}")
        if not any(uses(pod) for pod in pods):
            await _let_go(self._client, key, claim, CLAIM_PROTECTION)
        return DONE


class VolumeProtectionController:
    """Lets go of volumes that are being deleted and not bound; keys are theirs."""

    name = "pv-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._volumes = context.informers.for_resource(PERSISTENT_VOLUMES)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow volumes."""
        return (Watching(PERSISTENT_VOLUMES, own_keys(PERSISTENT_VOLUMES)),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Let go of the volume once it is not bound."""
        volume = self._volumes.get(key)
        if volume is not None and is_deleting(volume) and (volume.get("status") or {}).get("phase") != "Bound":
            await _let_go(self._client, key, volume, VOLUME_PROTECTION)
        return DONE


async def _let_go(client: Client, key: ObjectKey, body: Body, finalizer: str) -> None:
    metadata = body["metadata"]
    finalizers = metadata.get("finalizers") or []
    if finalizer not in finalizers:
        return
    left = [name for name in finalizers if name != finalizer]
    head = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    try:
        await client.patch(*key, {"metadata": {**head, "finalizers": left or None}})
    except NotFound:
        return


def _keys_of_pod(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    return claims_of(old) if old is not None and (new is None or not uses(new)) else ()
