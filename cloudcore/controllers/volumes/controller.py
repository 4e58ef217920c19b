"""The binder: reads, asks :mod:`.claims` and :mod:`.reclaiming`, and writes.

A binding is four writes, each safe by itself and made again by the next reconcile if it did not happen: the volume
names the claim (compare-and-swap: two claims cannot take one volume), the volume is Bound, the claim names the volume,
the claim is Bound. One worker does all claims: of two that want the same volume one must come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.controllers.volumes.claims import Bind, Provision, Stay, TakeClass, World, plan_claim
from cloudcore.controllers.volumes.reclaiming import Enter, Unbind, plan_volume
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import CLAIMS, NODES, PERSISTENT_VOLUMES, STORAGE_CLASSES
from protocol.objects.storageclasses import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    OLD_PROVISIONER,
    PROVISIONER,
    SELECTED_NODE,
    annotation,
)

LOOK_AGAIN_S = 60.0
"""How often a claim that waits is looked at and its Event repeated; changes of volumes and classes come at once."""
_WAITING = "waiting"


class ClaimController:
    """Reconciles claims; keys are theirs."""

    name = "persistentvolume-binder"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder.named("persistentvolume-controller")
        self._claims = context.informers.for_resource(CLAIMS)
        self._claims.add_index(_WAITING, _waiting)
        self._volumes = context.informers.for_resource(PERSISTENT_VOLUMES)
        self._classes = context.informers.for_resource(STORAGE_CLASSES)
        self._nodes = context.informers.for_resource(NODES)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow claims, and volumes and classes that claims may wait for."""
        return (
            Watching(CLAIMS, own_keys(CLAIMS)),
            Watching(PERSISTENT_VOLUMES, self._keys_of_volume),
            Watching(STORAGE_CLASSES, self._keys_of_class),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        """Take one step towards a bound claim, or say why there is none."""
        claim = self._claims.get(key)
        if claim is None or (is_deleting(claim) and not claim["spec"].get("volumeName")):
            return DONE
        chosen = annotation(claim, SELECTED_NODE)
        node = self._nodes.get(ObjectKey(NODES, "", chosen)) if chosen else None
        decision = plan_claim(claim, World(self._volumes.list(), self._classes.list(), node))
        match decision:
            case Bind(volume):
                await self._bind(key, claim, volume)
            case Stay():
                return await self._stay(key, claim, decision)
            case TakeClass(name):
                await self._client.patch(*key, {"metadata": _head(claim), "spec": {"storageClassName": name}})
            case Provision(provisioner):
                return await self._provision(key, claim, provisioner)
        return DONE

    async def _bind(self, key: ObjectKey, claim: Body, volume: Body) -> None:
        kept = await self._bind_volume(claim, volume)
        claim = await self._bind_claim(key, claim, kept)
        spec = kept["spec"]
        status = {
            "phase": "Bound",
            "accessModes": spec.get("accessModes") or [],
            "capacity": spec.get("capacity") or {},
        }
        before = claim.get("status") or {}
        if any(before.get(name) != value for name, value in status.items()):
            await self._client.patch(
                *key, {"metadata": {"uid": claim["metadata"]["uid"]}, "status": status}, subresource="status"
            )

    async def _bind_volume(self, claim: Body, volume: Body) -> Body:
        reference, metadata = volume["spec"].get("claimRef"), claim["metadata"]
        if not reference or not reference.get("uid"):
            wanted = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            }
            head = {**volume["metadata"]}
            if not reference:
                head["annotations"] = {**(head.get("annotations") or {}), BOUND_BY_CONTROLLER: "yes"}
            volume = {**volume, "metadata": head, "spec": {**volume["spec"], "claimRef": wanted}}
            volume = await self._client.update(PERSISTENT_VOLUMES, volume)
        if (volume.get("status") or {}).get("phase") != "Bound":
            key = key_of(PERSISTENT_VOLUMES, volume)
            patch = {"metadata": {"uid": volume["metadata"]["uid"]}, "status": {"phase": "Bound"}}
            volume = await self._client.patch(*key, patch, subresource="status")
        return volume

    async def _bind_claim(self, key: ObjectKey, claim: Body, volume: Body) -> Body:
        name = volume["metadata"]["name"]
        notes = {BIND_COMPLETED: "yes"} | ({} if claim["spec"].get("volumeName") else {BOUND_BY_CONTROLLER: "yes"})
        if claim["spec"].get("volumeName") == name and annotation(claim, BIND_COMPLETED):
            return claim
        patch = {"metadata": {**_head(claim), "annotations": notes}, "spec": {"volumeName": name}}
        return await self._client.patch(*key, patch)

    async def _stay(self, key: ObjectKey, claim: Body, decision: Stay) -> Result:
        if decision.reason:
            self._recorder.event(claim, "Warning" if decision.warning else "Normal", decision.reason, decision.message)
        if (claim.get("status") or {}).get("phase") != decision.phase:
            patch = {"metadata": {"uid": claim["metadata"]["uid"]}, "status": {"phase": decision.phase}}
            await self._client.patch(*key, patch, subresource="status")
        if decision.drop_node:
            await self._client.patch(*key, {"metadata": {**_head(claim), "annotations": {SELECTED_NODE: None}}})
        return RequeueAfter(LOOK_AGAIN_S) if decision.phase == "Pending" else DONE

    async def _provision(self, key: ObjectKey, claim: Body, provisioner: str) -> Result:
        if annotation(claim, PROVISIONER) != provisioner:
            notes = {PROVISIONER: provisioner, OLD_PROVISIONER: provisioner}
            await self._client.patch(*key, {"metadata": {**_head(claim), "annotations": notes}})
        why = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
            "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
            "correctly registered."
        )
        self._recorder.event(claim, "Normal", "ExternalProvisioning", why)
        return RequeueAfter(LOOK_AGAIN_S)

    def _keys_of_volume(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        volume = new or old
        reference = ((volume or {}).get("spec") or {}).get("claimRef") or {}
        if reference:
            return (ObjectKey(CLAIMS, reference.get("namespace", ""), reference.get("name", "")),)
        return self._all_waiting()

    def _keys_of_class(self, _old: Body | None, _new: Body | None) -> Iterable[ObjectKey]:
        return self._all_waiting()

    def _all_waiting(self) -> list[ObjectKey]:
        return [key_of(CLAIMS, claim) for claim in self._claims.list(index=_WAITING, value=_WAITING)]


class VolumeController:
    """Reconciles volumes; keys are theirs."""

    name = "persistentvolume-phases"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder.named("persistentvolume-controller")
        self._volumes = context.informers.for_resource(PERSISTENT_VOLUMES)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow volumes, and claims, whose end or change of volume concerns them."""
        return (Watching(PERSISTENT_VOLUMES, own_keys(PERSISTENT_VOLUMES)), Watching(CLAIMS, self._keys_of_claim))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring the volume into the phase that follows from its claim."""
        volume = self._volumes.get(key)
        if volume is None:
            return DONE
        match plan_volume(volume, await self._claim_of(volume)):
            case Enter() as decision:
                await self._enter(key, volume, decision)
            case Unbind(keep_name):
                await self._unbind(volume, keep_name=keep_name)
        return DONE

    async def _claim_of(self, volume: Body) -> Body | None:
        reference = volume["spec"].get("claimRef") or {}
        if not reference.get("uid"):
            return None
        try:
            # Read live: data must not be given up because a cache has not heard of its claim yet.
            return await self._client.get(CLAIMS, reference.get("namespace", ""), reference.get("name", ""))
        except NotFound:
            return None

    async def _enter(self, key: ObjectKey, volume: Body, decision: Enter) -> None:
        before = volume.get("status") or {}
        if before.get("phase") == decision.phase and before.get("message", "") == decision.message:
            return
        status = {
            "phase": decision.phase,
            "reason": decision.reason or None,
            "message": decision.message or None,
        }
        metadata = {"uid": volume["metadata"]["uid"], "resourceVersion": volume["metadata"]["resourceVersion"]}
        await self._client.patch(*key, {"metadata": metadata, "status": status}, subresource="status")
        if decision.reason:
            self._recorder.event(volume, "Warning", decision.reason, decision.message)

    async def _unbind(self, volume: Body, *, keep_name: bool) -> None:
        spec, metadata = dict(volume["spec"]), dict(volume["metadata"])
        reference = {
            name: value for name, value in spec.pop("claimRef").items() if name in ("namespace", "name", "kind")
        }
        if keep_name:
            spec["claimRef"] = reference
        notes = {
            name: text for name, text in (metadata.get("annotations") or {}).items() if name != BOUND_BY_CONTROLLER
        }
        metadata["annotations"] = notes
        await self._client.update(PERSISTENT_VOLUMES, {**volume, "metadata": metadata, "spec": spec})

    def _keys_of_claim(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        names: set[str] = {((body or {}).get("spec") or {}).get("volumeName") or "" for body in (old, new)} - {""}
        if new is None and old is not None:
            # A claim that was deleted before it named its volume: that knows of it.
            names |= {
                volume["metadata"]["name"]
                for volume in self._volumes.list()
                if (volume["spec"].get("claimRef") or {}).get("uid") == old["metadata"]["uid"]
            }
        return [ObjectKey(PERSISTENT_VOLUMES, "", name) for name in sorted(names)]


def _head(body: Body) -> Body:
    """Return metadata under which a patch holds for this state of the object only."""
    return {"uid": body["metadata"]["uid"], "resourceVersion": body["metadata"]["resourceVersion"]}


def _waiting(claim: Body) -> Iterable[str]:
    """Index function: claims that have no volume."""
    return () if annotation(claim, BIND_COMPLETED) else (_WAITING,)
