"""Generic ephemeral volumes: makes the claim that a pod's ``ephemeral`` volume is a template of; it goes with the pod.

Source: Kubernetes "Ephemeral Volumes": the claim is named after pod and volume, and owned by the pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.controllers.pods import is_deleting, is_terminated
from cloudcore.controllers.runtime import DONE, Context, Result, Watching
from cloudcore.errors import AlreadyExists
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import CLAIMS, PODS


def plan_claims(pod: Body) -> list[Body]:
    """Return the claims that the pod's ephemeral volumes are templates of."""
    metadata = pod["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    claims = []
    for volume in pod["spec"].get("volumes") or ():
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template:
            head = {name: value for name, value in (template.get("metadata") or {}).items() if name in _KEPT}
            own = {"namespace": metadata["namespace"], "name": f"{metadata['name']}-{volume['name']}"}
            claims.append({"metadata": {**head, **own, "ownerReferences": [owner]}, "spec": template["spec"]})
    return claims


_KEPT = ("labels", "annotations")


class EphemeralVolumeController:
    """Reconciles pods with ephemeral volumes; keys are theirs."""

    name = "ephemeral-volume"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder.named("ephemeral_volume")
        self._pods = context.informers.for_resource(PODS)
        self._claims = context.informers.for_resource(CLAIMS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow such pods, and claims, which are made again where a pod still wants them."""
        return (Watching(PODS, _keys_of_pod), Watching(CLAIMS, _keys_of_claim))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Make the claims that are missing."""
        pod = self._pods.get(key)
        if pod is None or is_deleting(pod) or is_terminated(pod):
            return DONE
        for claim in plan_claims(pod):
            present = self._claims.get(key_of(CLAIMS, claim))
            if present is None:
                try:
                    await self._client.create(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
                except AlreadyExists:
                    continue
            elif not any(
                one.get("uid") == pod["metadata"]["uid"] for one in present["metadata"].get("ownerReferences") or ()
            ):
                name = claim["metadata"]["name"]
                why = f'PVC "{name}" was not created for the pod (pod is not owner)'
                self._recorder.event(pod, "Warning", "FailedBinding", why)
        return DONE


def _keys_of_pod(_old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    if new is None or not any("ephemeral" in volume for volume in new["spec"].get("volumes") or ()):
        return ()
    return (key_of(PODS, new),)


def _keys_of_claim(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    if new is not None or old is None:
        return ()
    owners = old["metadata"].get("ownerReferences") or ()
    return [ObjectKey(PODS, old["metadata"]["namespace"], one["name"]) for one in owners if one.get("kind") == "Pod"]
