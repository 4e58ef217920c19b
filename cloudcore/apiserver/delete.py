"""The verbs ``delete`` and ``deletecollection``.

An object goes at once unless something holds it: finalizers (those of the propagation policy included), a
namespace's own finalizers, or, for a pod that a node runs, its grace period. What is held gets a
``deletionTimestamp``; the last holder's write removes it (see :func:`cloudcore.apiserver.change.is_finished`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.change import namespace_finalizers
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.list import ListOptions, list_objects, parse_version
from cloudcore.apiserver.registry import Registry, retained
from cloudcore.client import Propagation
from cloudcore.errors import BadRequest, Cause, Conflict, NotFound
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body, Revision, Uid
from protocol.objects.resources import NAMESPACES
from protocol.objects.times import parse_timestamp, timestamp

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_ATTEMPTS = 16
_POLICY_FINALIZERS: dict[Propagation, tuple[str, ...]] = {
    "Background": (),
    "Foreground": (FOREGROUND,),
    "Orphan": (ORPHAN,),
}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete.

    Attributes:
        uid: The uid the object must have; None for any.
        revision: The revision it must have; None for any.
        grace_s: Grace period of a pod, seconds; 0 removes at once; None takes the pod's own.
        propagation: What becomes of dependents; None keeps to the finalizers the object has.
    """

    uid: Uid | None = None
    revision: Revision | None = None
    grace_s: int | None = None
    propagation: Propagation | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion did.

    Attributes:
        record: The object: its last state if removed, else as it is now.
        removed: Whether it is gone, rather than held.
    """

    record: Record
    removed: bool


async def delete(
    registry: Registry, target: Target, context: Context, options: DeleteOptions | None = None
) -> Deletion:
    """Delete an object, or begin to.

    Raises:
        Conflict: A precondition does not hold.
        Forbidden: A policy.
        NotFound: There is no such object.
    """
    if "delete" not in target.kind.verbs:
        raise failures.not_allowed(target.kind, "delete")
    options = options or DeleteOptions()
    for _ in range(_ATTEMPTS):
        record = await stored(registry, target)
        check_preconditions(target, record, options)
        if target.kind.virtual:
            if not context.dry_run:
                registry.remove_virtual(target.kind, target.name)
            return Deletion(record, True)
        body = record.decode()
        await registry.admission.validate(Admission(Operation.DELETE, target, body, body, context, registry.store))
        held = _hold(registry, target, body, options)
        if context.dry_run:
            return Deletion(retained(record, body) if held else record, not held)
        try:
            return await _write(registry, target, record, body, held=held)
        except Conflict:
            continue
        except NotFound:
            raise failures.not_found(target.kind, target.name) from None
    raise failures.conflict(target.kind, target.name)


async def delete_collection(
    registry: Registry, target: Target, context: Context, options: DeleteOptions, selected: ListOptions
) -> list[Deletion]:
    """Delete every selected object; ones that are gone meanwhile are passed over.

    Raises:
        MethodNotAllowed: The kind does not have the verb.
    """
    if "deletecollection" not in target.kind.verbs:
        raise failures.not_allowed(target.kind, "deletecollection")
    page = await list_objects(registry, target, selected)
    deletions = []
    for record in page.records:
        each = Target(target.kind, record.key.namespace, record.key.name)
        try:
            deletions.append(await delete(registry, each, context, options))
        except NotFound:
            continue
    return deletions


def check_preconditions(target: Target, record: Record, options: DeleteOptions) -> None:
    """Refuse to delete another object, or another state of it, than the client means.

    Raises:
        Conflict: A precondition does not hold.
    """
    if options.uid and options.uid != record.uid:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {record.uid}"
    elif options.revision and options.revision != record.revision:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.revision}, "
            f"ResourceVersion in object meta: {record.revision}"
        )
    else:
        return
    raise failures.conflict(target.kind, target.name, why)


def _hold(registry: Registry, target: Target, body: Body, options: DeleteOptions) -> bool:
    """Mark ``body`` as being deleted, and tell whether anything holds it."""
    metadata = body["metadata"]
    if options.propagation is not None:
        _set_policy(metadata, options.propagation)
    grace_s = _grace_s(body, options) if target.kind.graceful else 0
    _mark(registry, metadata, grace_s)
    if target.kind.resource == NAMESPACES:
        body["status"] = {**(body.get("status") or {}), "phase": "Terminating"}
    held_s: int = metadata["deletionGracePeriodSeconds"]
    return bool(held_s or metadata.get("finalizers") or namespace_finalizers(body))


def _set_policy(metadata: Body, propagation: Propagation) -> None:
    others = [name for name in metadata.get("finalizers") or () if name not in {ORPHAN, FOREGROUND}]
    finalizers = [*others, *_POLICY_FINALIZERS[propagation]]
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _mark(registry: Registry, metadata: Body, grace_s: int) -> None:
    """Set the time of deletion; a second deletion can only bring it forward."""
    marked = metadata.get("deletionTimestamp")
    if marked is None:
        metadata["deletionTimestamp"] = timestamp(registry.clock() + grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s
        if metadata.get("generation"):
            metadata["generation"] += 1
        return
    before_s: int = metadata.get("deletionGracePeriodSeconds", 0)
    if grace_s < before_s:
        metadata["deletionTimestamp"] = timestamp(parse_timestamp(marked) - before_s + grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s


def _grace_s(body: Body, options: DeleteOptions) -> int:
    """Return a pod's grace period: none if no node runs it."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    if options.grace_s is not None:
        return max(options.grace_s, 0)
    own: int = spec.get("terminationGracePeriodSeconds", 30)
    return own


async def _write(registry: Registry, target: Target, record: Record, body: Body, *, held: bool) -> Deletion:
    store = registry.store
    if not held:
        gone = await store.delete(target.key, expected=record.revision, expected_uid=record.uid)
        target.kind.committed(gone, removed=True)
        return Deletion(gone, True)
    if body == record.decode():
        return Deletion(record, False)
    written = await store.update(target.key, encode(body), expected=record.revision, expected_uid=record.uid)
    target.kind.committed(written, removed=False)
    return Deletion(written, False)


def read_options(body: Body) -> DeleteOptions:
    """Read a ``DeleteOptions`` body; ``dryRun`` is the caller's.

    Raises:
        BadRequest: A field has a value it cannot have.
    """
    grace_s = body.get("gracePeriodSeconds")
    if grace_s is not None and (isinstance(grace_s, bool) or not isinstance(grace_s, int)):
        raise bad_option("gracePeriodSeconds", grace_s)
    conditions = body.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise bad_option("preconditions", conditions)
    uid, version = conditions.get("uid"), conditions.get("resourceVersion")
    return DeleteOptions(
        uid=Uid(str(uid)) if uid else None,
        revision=parse_version(str(version)) or None if version else None,
        grace_s=grace_s,
        propagation=_propagation(body),
    )


def _propagation(options: Body) -> Propagation | None:
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy is None:
        return None if orphan is None else "Orphan" if orphan else "Background"
    for known in _POLICY_FINALIZERS:
        if policy == known:
            return known
    raise bad_option("propagationPolicy", policy)


def bad_option(field: str, value: object) -> BadRequest:
    """Return the error of a ``DeleteOptions`` field that has a value it cannot have."""
    message = f"Invalid value: {value!r}"
    return BadRequest(f"DeleteOptions: {field}: {message}", causes=[Cause("FieldValueInvalid", message, field)])
