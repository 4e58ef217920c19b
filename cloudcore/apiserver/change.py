"""Changing a stored object: what ``update`` and ``patch`` share, for objects and their subresources.

Read, transform, check, write with compare-and-swap; where another writer was faster, begin again. A change that
names the ``resourceVersion`` it was made from does not begin again: it ends in ``Conflict``.
"""

from __future__ import annotations

from collections.abc import Callable

from cloudcore.apiserver import failures, strategy
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.durability import is_volatile
from cloudcore.apiserver.get import stored
from cloudcore.apiserver.managedfields.tracking import FIELD, is_noted, is_same_but_for_times, note_update
from cloudcore.apiserver.registry import Registry, retained
from cloudcore.apiserver.subresources.podparts import check_part
from cloudcore.apiserver.subresources.views import View, rendered
from cloudcore.apiserver.validation.decoding import decode, require_object
from cloudcore.apiserver.validation.objects import check_status, check_update
from cloudcore.apiserver.versions import received, shown
from cloudcore.errors import Conflict, NotFound
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body

_ATTEMPTS = 16
"""Writers that race for one object make each other retry; more than this means a storm."""

Transform = Callable[[Body], Body]
"""Makes the wanted view from the present one, without changing the latter."""


async def change(
    registry: Registry, target: Target, view: View, transform: Transform, context: Context, *, applied: bool = False
) -> Record:
    """Apply ``transform`` to a view of the stored object and return the view as stored.

    Args:
        registry: What to work on.
        target: What to change.
        view: The part of it that is changed.
        transform: Makes the wanted view from the present one.
        context: Who asks.
        applied: Whether ``transform`` has settled in ``managedFields`` who owns what; else that is noted here.

    Raises:
        Conflict: The wanted state names another revision or uid than the stored one, or races did not end.
        Invalid: Fields are wrong.
        NotFound: There is no such object.
    """
    for _ in range(_ATTEMPTS):
        record = await stored(registry, target)
        try:
            written = await _attempt(registry, target, view, transform, context, record, applied=applied)
        except _Overtaken:
            continue
        return rendered(view, written)
    raise failures.conflict(target.kind, target.name)


class _Overtaken(Exception):
    """Another writer was faster."""


async def _attempt(
    registry: Registry,
    target: Target,
    view: View,
    transform: Transform,
    context: Context,
    record: Record,
    *,
    applied: bool,
) -> Record:
    # Two copies, so that what is changed in place shares nothing with what it is compared with. A status is only
    # replaced, so there one copy serves as both.
    present = record.decode()
    old = present if view.status_only else record.decode()
    wanted = transform(shown(target, view.read(present)) if view.is_whole else view.read(present))
    if view.is_whole and target.version is not None:
        wanted = received(registry, target, wanted, context)
    require_object(target.kind, wanted)  # a patch may have put anything in the object's place
    _check_version(target, wanted, record)
    managed = (wanted.get("metadata") or {}).get(FIELD)
    body = view.write(present, wanted)
    now = registry.now() if view.status_only else ""
    with Admission(Operation.UPDATE, target, body, old, context, registry.store, now) as admission:
        await (_admit_status if view.status_only else _admit)(registry, admission, old)
        if applied or is_noted(context, status_only=view.status_only):
            body["metadata"] = dict(body["metadata"])
            if applied:
                body["metadata"][FIELD] = managed
            else:
                note_update(registry.kinds, target, old, body, context, given=managed, now=registry.now())
        if body == old or (applied and is_same_but_for_times(body, old)):
            return record
        if context.dry_run:
            return retained(record, body)
        return await _write(registry, target, view, body, record)


def _check_version(target: Target, wanted: Body, record: Record) -> None:
    metadata = wanted.get("metadata")
    if not isinstance(metadata, dict):
        return
    if str(metadata.get("resourceVersion") or record.revision) != str(record.revision):
        raise failures.conflict(target.kind, target.name)
    if (metadata.get("uid") or record.uid) != record.uid:
        raise failures.conflict(
            target.kind,
            target.name,
            f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {record.uid}",
        )


async def _admit_status(registry: Registry, admission: Admission, old: Body) -> None:
    """Bring an object with another status into its final form, or refuse it."""
    kind, body = admission.target.kind, admission.body
    decode(registry.schemas, kind, body, admission.context)
    if kind.custom is not None:
        kind.custom.default_status(body)
    await registry.admission.mutate(admission)
    check_status(kind, body, old)
    await registry.admission.validate(admission)


async def _admit(registry: Registry, admission: Admission, old: Body) -> None:
    """Bring the object to be into its final form, or refuse it."""
    target, body = admission.target, admission.body
    kind = target.kind
    decode(registry.schemas, kind, body, admission.context)
    strategy.address(target, body)
    strategy.prepare_update(target, body, old)
    kind.defaults(body)
    await registry.admission.mutate(admission)
    strategy.count_generation(kind, body, old)
    if not check_part(kind, target.subresource, body, old):
        check_update(kind, body, old)
    await registry.admission.validate(admission)


async def _write(registry: Registry, target: Target, view: View, body: Body, record: Record) -> Record:
    try:
        if not view.status_only and is_finished(body):
            gone = await registry.store.delete(target.key, expected=record.revision, expected_uid=record.uid)
            target.kind.committed(gone, removed=True)
            return gone
        written = await registry.store.update(
            target.key,
            encode(body),
            expected=record.revision,
            expected_uid=record.uid,
            status_only=view.status_only,
            volatile=is_volatile(target.kind, target.namespace),
        )
    except Conflict:
        raise _Overtaken from None
    except NotFound:
        raise failures.not_found(target.kind, target.name) from None
    target.kind.committed(written, removed=False)
    return written


def is_finished(body: Body) -> bool:
    """Tell whether an object that is being deleted has nothing left to wait for."""
    metadata = body["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("deletionGracePeriodSeconds"):
        return False
    return not metadata.get("finalizers") and not namespace_finalizers(body)


def namespace_finalizers(body: Body) -> list[str]:
    """Return ``spec.finalizers`` of a namespace; empty for any other kind."""
    finalizers: list[str] = (body.get("spec") or {}).get("finalizers") or [] if body.get("kind") == "Namespace" else []
    return finalizers
