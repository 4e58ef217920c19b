"""The ``binding`` subresource of pods: puts a pod on a node."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.validation.decoding import require_object
from cloudcore.apiserver.validation.fields import required
from cloudcore.errors import Conflict, NotFound
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body, Uid

_ATTEMPTS = 16


async def create_binding(registry: Registry, target: Target, body: Body, context: Context) -> None:
    """Carry out a ``Binding``: ``target.name`` is the pod's, ``body["target"]["name"]`` the node's.

    Raises:
        Conflict: The pod is bound already, is going away, or has another uid.
        Invalid: The body names no node.
        NotFound: There is no such pod.
    """
    require_object(target.kind, body)
    wanted = body.get("target")
    node = wanted.get("name") if isinstance(wanted, dict) else None
    if not isinstance(node, str) or not node:
        raise failures.invalid(target.kind, target.name, [required("target.name")])
    metadata = body["metadata"]
    await bind(
        registry, target, node, context, uid=Uid(metadata.get("uid") or ""), annotations=metadata.get("annotations")
    )


async def bind(
    registry: Registry,
    target: Target,
    node: str,
    context: Context,
    *,
    uid: Uid,
    annotations: dict[str, str] | None = None,
) -> Record:
    """Set a pod's ``spec.nodeName`` and its ``PodScheduled`` condition; an empty ``uid`` binds any.

    Raises:
        Conflict: The pod is bound already, is going away, or has another uid.
        NotFound: There is no such pod.
    """
    for _ in range(_ATTEMPTS):
        record = await stored(registry, target)
        if uid and uid != record.uid:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {record.uid}"
            raise failures.conflict(target.kind, target.name, why)
        pod = record.decode()
        _assign(target, pod, node, registry.now(), annotations or {})
        if context.dry_run:
            return record
        try:
            return await registry.store.update(target.key, encode(pod), expected=record.revision)
        except Conflict:
            continue
        except NotFound:
            raise failures.not_found(target.kind, target.name) from None
    raise failures.conflict(target.kind, target.name)


def _assign(target: Target, pod: Body, node: str, now: str, annotations: dict[str, str]) -> None:
    name, spec, metadata = target.name, pod["spec"], pod["metadata"]
    if metadata.get("deletionTimestamp"):
        raise failures.conflict(target.kind, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise failures.conflict(target.kind, name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise failures.conflict(target.kind, name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = node
    if annotations:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    status = pod.setdefault("status", {})
    others = [item for item in status.get("conditions") or () if item.get("type") != "PodScheduled"]
    status["conditions"] = [
        *others,
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
    ]
