"""Reads the caches, asks :func:`.plan.plan`, and writes what it says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.controllers.deployment import model
from cloudcore.controllers.deployment.actions import (
    Action,
    ChangeReplicaSet,
    CreateReplicaSet,
    DeleteReplicaSet,
    RecordRevision,
)
from cloudcore.controllers.deployment.plan import Observed, plan
from cloudcore.controllers.deployment.status import FAILED_CREATE_REASON, put_condition
from cloudcore.controllers.deployment.templates import same_template
from cloudcore.controllers.namespace import is_namespace_going
from cloudcore.controllers.ownership import apply_claims, controller_of, plan_claims
from cloudcore.controllers.pods import is_terminated
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import AlreadyExists, ApiError, NotFound
from cloudcore.informers.indexes import BY_CONTROLLER, ORPHANS, controller_uid, orphan_namespace
from protocol.objects.keys import Body, ObjectKey, Revision, Uid
from protocol.objects.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from protocol.objects.selectors import label_selector, matches


class DeploymentController:
    """Reconciles Deployments; keys are theirs."""

    name = "deployment"
    workers = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._deployments = context.informers.for_resource(DEPLOYMENTS)
        self._replicasets = context.informers.for_resource(REPLICA_SETS)
        self._pods = context.informers.for_resource(PODS)
        for informer in (self._replicasets, self._pods):
            informer.add_index(BY_CONTROLLER, controller_uid)
            informer.add_index(ORPHANS, orphan_namespace)
        self._recorder = context.recorder.named("deployment-controller")

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow Deployments, their ReplicaSets, and pods that end (``Recreate`` waits for them)."""
        return (
            Watching(DEPLOYMENTS, own_keys(DEPLOYMENTS)),
            Watching(REPLICA_SETS, self._keys_of_replicaset),
            Watching(PODS, self._keys_of_pod),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        """Take the next step of the rollout, then write the status."""
        deployment = self._deployments.get(key)
        if deployment is None:
            return DONE
        now = self._context.clock.wall()
        decided = plan(await self._observe(deployment), now)
        status = decided.status
        error = None
        for action in decided.actions:
            try:
                await self._carry_out(deployment, action)
            except ApiError as failure:
                error = failure
                status = self._with_error(status, action, failure, now)
                break
        await self._write_status(deployment, status)
        if error is not None:
            raise error
        return DONE if decided.requeue_s is None else RequeueAfter(decided.requeue_s)

    async def _observe(self, deployment: Body) -> Observed:
        metadata = deployment["metadata"]
        candidates = [
            *self._replicasets.list(index=BY_CONTROLLER, value=metadata["uid"]),
            *self._replicasets.list(index=ORPHANS, value=metadata["namespace"]),
        ]
        claims = plan_claims(deployment, label_selector(deployment["spec"]["selector"]), candidates)
        owned = await apply_claims(self._client, REPLICA_SETS, deployment, DEPLOYMENTS, claims)
        if model.is_rolling(deployment):
            return Observed(deployment, owned, {})
        return Observed(deployment, owned, {entry["metadata"]["uid"]: self._pods_left(entry) for entry in owned})

    def _pods_left(self, replicaset: Body) -> int:
        pods = self._pods.list(index=BY_CONTROLLER, value=replicaset["metadata"]["uid"])
        return sum(not is_terminated(pod) for pod in pods)

    async def _carry_out(self, deployment: Body, action: Action) -> None:
        match action:
            case CreateReplicaSet():
                await self._create(deployment, action)
            case ChangeReplicaSet():
                await self._change(deployment, action)
            case DeleteReplicaSet(replicaset=replicaset):
                await self._delete(replicaset)
            case RecordRevision(revision=revision):
                metadata = deployment["metadata"]
                patch = {"metadata": {"uid": metadata["uid"], "annotations": {model.REVISION: revision}}}
                await self._client.patch(DEPLOYMENTS, metadata["namespace"], metadata["name"], patch)

    async def _create(self, deployment: Body, action: CreateReplicaSet) -> None:
        metadata = action.body["metadata"]
        try:
            await self._client.create(REPLICA_SETS, {**action.body, "metadata": dict(metadata)})
        except AlreadyExists:
            if not await self._is_ours(deployment, action.body):
                await self._count_collision(deployment)
            return
        except ApiError as error:
            if is_namespace_going(error):
                return
            message = f"Failed to create new replica set {metadata['name']!r}: {error.message}"
            self._recorder.event(deployment, "Warning", FAILED_CREATE_REASON, message)
            raise
        self._tell_scaled(deployment, metadata["name"], 0, action.body["spec"]["replicas"])

    async def _is_ours(self, deployment: Body, body: Body) -> bool:
        """Tell whether the ReplicaSet that has the name is the one wanted, so that waiting for the cache is enough."""
        metadata = body["metadata"]
        try:
            live = await self._client.get(REPLICA_SETS, metadata["namespace"], metadata["name"])
        except NotFound:
            return True
        owner = controller_of(live)
        ours = owner is not None and owner["uid"] == deployment["metadata"]["uid"]
        return ours and same_template(live["spec"]["template"], body["spec"]["template"])

    async def _count_collision(self, deployment: Body) -> None:
        """Have the next name made with another hash: another template has this one."""
        metadata = deployment["metadata"]
        patch = {"status": {"collisionCount": model.observed(deployment, "collisionCount") + 1}}
        await self._client.patch(DEPLOYMENTS, metadata["namespace"], metadata["name"], patch, subresource="status")

    async def _change(self, deployment: Body, action: ChangeReplicaSet) -> None:
        metadata = action.replicaset["metadata"]
        spec: Body = {}
        if action.replicas is not None:
            spec["replicas"] = action.replicas
        if action.min_ready_s is not None:
            spec["minReadySeconds"] = action.min_ready_s
        # The uid and not the revision is the condition: the ReplicaSet's own status must not get in the way.
        head = {"uid": metadata["uid"], **({"annotations": action.annotations} if action.annotations else {})}
        patch = {"metadata": head, **({"spec": spec} if spec else {})}
        try:
            await self._client.patch(REPLICA_SETS, metadata["namespace"], metadata["name"], patch)
        except NotFound:
            return
        before = model.replicas(action.replicaset)
        if action.replicas is not None and action.replicas != before:
            self._tell_scaled(deployment, metadata["name"], before, action.replicas)

    async def _delete(self, replicaset: Body) -> None:
        """Delete a spent ReplicaSet, unless anybody has touched it since it was seen."""
        metadata = replicaset["metadata"]
        uid, seen = Uid(metadata["uid"]), Revision(int(metadata["resourceVersion"]))
        try:
            await self._client.delete(REPLICA_SETS, metadata["namespace"], metadata["name"], uid=uid, revision=seen)
        except NotFound:
            return

    async def _write_status(self, deployment: Body, status: Body) -> None:
        live = self._deployments.get(ObjectKey(DEPLOYMENTS, *_name(deployment)))
        if live is None or live["metadata"]["uid"] != deployment["metadata"]["uid"] or live.get("status") == status:
            return
        collisions = model.observed(live, "collisionCount")
        body = {**live, "status": {**status, **({"collisionCount": collisions} if collisions else {})}}
        try:
            await self._client.update(DEPLOYMENTS, body, subresource="status")
        except NotFound:
            return

    def _with_error(self, status: Body, action: Action, error: ApiError, now: float) -> Body:
        if not isinstance(action, CreateReplicaSet):
            return status
        words = ("False", FAILED_CREATE_REASON, error.message)
        return {**status, "conditions": put_condition(status["conditions"], "Progressing", *words, now)}

    def _tell_scaled(self, deployment: Body, name: str, before: int, after: int) -> None:
        if before == after:
            return
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    def _keys_of_replicaset(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        for replicaset in (old, new):
            if replicaset is None:
                continue
            owner, namespace = controller_of(replicaset), replicaset["metadata"]["namespace"]
            if owner is None:
                yield from self._selecting(replicaset)
            elif owner["kind"] == "Deployment":
                yield ObjectKey(DEPLOYMENTS, namespace, owner["name"])

    def _keys_of_pod(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if old is None or (new is not None and not is_terminated(new)):
            return
        owner, namespace = controller_of(old), old["metadata"]["namespace"]
        if owner is None or owner["kind"] != "ReplicaSet":
            return
        replicaset = self._replicasets.get(ObjectKey(REPLICA_SETS, namespace, owner["name"]))
        if replicaset is not None:
            yield from self._keys_of_replicaset(None, replicaset)

    def _selecting(self, replicaset: Body) -> Iterable[ObjectKey]:
        namespace, labels = replicaset["metadata"]["namespace"], replicaset["metadata"].get("labels")
        for deployment in self._deployments.list(index="namespace", value=namespace):
            if matches(label_selector(deployment["spec"]["selector"]), labels):
                yield ObjectKey(DEPLOYMENTS, *_name(deployment))


def _name(body: Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]
